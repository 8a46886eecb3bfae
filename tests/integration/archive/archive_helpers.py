"""What the tests of the archive share: events, and archives whose process is killed at a step."""

import msgspec

from listbridge.archive.columns import to_events
from listbridge.archive.export import Export
from listbridge.archive.storage import LocalStorage
from listbridge.store.store import Store
from listbridge.streams.events import Event
from listbridge.streams.schemas import CM_ACTIVITY, SCHEMAS

NOVEMBER = 1_793_491_200_000  # 2026-11-01T00:00:00Z
DAY = 86_400_000


def activity(key, number=0, at=NOVEMBER, event="open", **values):
    identity = (event, key, at, number)
    return Event(CM_ACTIVITY, key, at, identity, {"email": key, "event": event, "campaign_id": "c1"} | values)


def some(count, people=5, start=0, at=NOVEMBER):
    """`count` events of a few people."""
    return [activity(f"person{n % people}@x.se", n, at) for n in range(start, start + count)]


def ids(events):
    return sorted(event.id.hex() for event in events)


def archived_ids(archive, stream=CM_ACTIVITY):
    """The ids in the files that count, doubles included."""
    found = []
    for part in archive.store.parts:
        reading = archive.read(stream, part)
        for frame in reading:
            found += frame["_id"].to_list()
        assert not reading.unreadable
    return sorted(found)


def exported_ids(archive, stream=CM_ACTIVITY):
    """The ids of everything, archived or not."""
    return sorted(event["_id"] for frame in Export(archive, stream) for event in to_events(frame))


def paths_on_disk(archive):
    return {path for path in archive.storage.sizes() if path.endswith(".parquet")}


def counting_paths(archive):
    return {
        file.path
        for stream in SCHEMAS
        for part in archive.store.parts
        for file in archive.snapshot(stream, part).files
    }


def manifest(archive):
    content = archive.storage.source("manifest.ndjson").read_bytes()
    return [msgspec.json.decode(line) for line in content.splitlines()]


class Killed(BaseException):
    """The process was killed."""


class Life:
    """A number of steps, the last of which kills."""

    def __init__(self, steps):
        self.left = steps

    def step(self):
        self.left -= 1
        if self.left <= 0:
            raise Killed


class MortalStore(Store):
    """A store whose process is killed just after a script, one partition at a time."""

    one_command = False

    def __init__(self, store, life):
        super().__init__(store.client, store.partitions)
        self.life = life

    def script(self, source, keys, args):
        answer = super().script(source, keys, args)
        self.life.step()
        return answer

    def scripts(self, source, calls, **_):
        return [self.script(source, *call) for call in calls]


class MortalStorage(LocalStorage):
    """A directory whose process is killed in the middle of writing a file, or after it."""

    def __init__(self, root, life):
        super().__init__(root)
        self.root = root
        self.life = life

    def put(self, path, content, *, writer):
        (self.root / ".tmp").mkdir(parents=True, exist_ok=True)
        half = self.root / ".tmp" / f"{writer}-half"
        half.write_bytes(content[: len(content) // 2])
        self.life.step()
        half.unlink()
        super().put(path, content, writer=writer)
        self.life.step()


class RepeatingStore(Store):
    """A store that loses each first reply: every script has run once more when its answer comes."""

    def script(self, source, keys, args):
        args = list(args)
        super().script(source, keys, args)
        return super().script(source, keys, args)

    def scripts(self, source, calls, **_):
        return [self.script(source, *call) for call in calls]


def let_leases_end(store):
    found = list(store.client.scan_iter("lb:lease:*"))
    if found:
        store.client.delete(*found)
