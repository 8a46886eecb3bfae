"""What the tests of the spine share: events, stores that die or answer twice, and a plain reckoning."""

from collections import Counter, defaultdict
from datetime import UTC, datetime

import msgspec

from listbridge.aggregation import view
from listbridge.profiles.codec import Codec
from listbridge.store.store import Store
from listbridge.streams.events import Event
from listbridge.streams.log import entries
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY

MINUTE = 60_000
START = 1_442_525_100_000  # 2015-09-17T21:25:00Z, a Thursday


def activity(key, minute, event="open", campaign="c1", ordinal=0, **values):
    at = START + minute * MINUTE
    identity = (event, campaign, key, at, ordinal)
    return Event(
        CM_ACTIVITY, key, at, identity, {"email": key, "event": event, "campaign_id": campaign} | values
    )


def moved(key, minute, event="enter", audience="vip", **fields):
    at = START + minute * MINUTE
    identity = (event, audience, key, at, sorted(fields.items()), None)
    return Event(
        AUDIENCE,
        key,
        at,
        identity,
        {"email": key, "audience": audience, "event": event, "fields": fields or None},
    )


def sample(people=6, opens=3):
    """Some people who open, click, enter and leave."""
    events = []
    for number in range(people):
        key = f"person{number}@example.com"
        events += [activity(key, number * 100 + n, city=f"city {n}") for n in range(opens)]
        events.append(activity(key, number, "click", url="https://example.com/a"))
        events.append(moved(key, 1, plan="gold"))
        if number % 2:
            events.append(moved(key, 2, "exit"))
    return events


class Killed(BaseException):
    """The process was killed."""


class MortalStore(Store):
    """A store whose process is killed just before its `life`th script, one partition at a time."""

    one_command = False

    def __init__(self, store, life):
        super().__init__(store.client, store.partitions)
        self.life = life
        self.steps = 0

    def script(self, source, keys, args):
        self.steps += 1
        if self.steps >= self.life:
            raise Killed
        return super().script(source, keys, args)

    def scripts(self, source, calls, **_):
        return [self.script(source, *call) for call in calls]


class RepeatingStore(Store):
    """A store that loses each first reply: every script has run once more when its answer comes."""

    def script(self, source, keys, args):
        args = list(args)
        super().script(source, keys, args)
        return super().script(source, keys, args)

    def scripts(self, source, calls, **options):
        super().scripts(source, calls, **options)
        return super().scripts(source, calls, **options)


def let_leases_end(store):
    store.client.delete(*(part.fold_lease for part in store.parts))


def stored(store, stream):
    """Every event that a stream holds, decoded, in the order of partitions and entries."""
    return [
        msgspec.json.decode(line)
        for part in store.parts
        for _, _, body in entries(store.client.xrange(part.stream(stream)))
        for line in body.split(b"\n")
    ]


def set_aside_in(store, stream):
    """(reason, raw) of everything that a stream's quarantine holds."""
    return [
        tuple(body.split(b"\t", 2)[1:])
        for part in store.parts
        for _, _, body in entries(store.client.xrange(part.quarantine(stream)))
    ]


def profiles(store, program):
    """Key -> (updated_at, fields as they are shown) of everybody."""
    codec = Codec(program)
    found = {}
    for part in store.parts:
        for key, packed in store.client.hgetall(part.profiles).items():
            profile = codec.unpack(packed)
            found[key.decode()] = (profile.updated_at, view(program, profile.states))
    return found


def members(store, audience):
    return {key.decode() for part in store.parts for key in store.client.smembers(part.audience(audience))}


def shown_time(at):
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reckon(events):
    """The checked fields of everybody, from decoded events one at a time, in plain Python."""
    people = defaultdict(Person)
    for event in events:
        people[event.get("_key") or event["email"]].add(event)
    return {key: person.shown() for key, person in people.items()}


class Person:
    def __init__(self):
        self.newest = 0
        self.counts = Counter()
        self.opened_at = []
        self.campaigns = set()
        self.latest = {}

    def add(self, event):
        self.newest = max(self.newest, event["_time"])
        what = event.get("event")
        if "campaign_id" in event:
            self.counts[what] += 1
            self.campaigns.add(event["campaign_id"])
            if what == "open":
                self.opened_at.append(event["_time"])
        if "city" in event:
            self.keep("city", event, event["city"])
        if "audience" in event:
            self.keep(("audiences", event["audience"]), event, what)
        for pair in event.get("fields", []):
            self.keep(("attributes", pair["k"]), event, pair["v"])

    def keep(self, name, event, value):
        news = (event["_time"], event["_received"], value)
        self.latest[name] = max(self.latest.get(name, news), news)

    def shown(self):
        fields = {
            "cm_openct": self.counts["open"] or None,
            "cm_clickct": self.counts["click"] or None,
            "cm_campaign_ids": sorted(self.campaigns) or None,
            "cm_firstopen_ts": shown_time(min(self.opened_at)) if self.opened_at else None,
            "cm_lastopen_ts": shown_time(max(self.opened_at)) if self.opened_at else None,
            "cm_hourlyopen": dict(
                Counter(str(datetime.fromtimestamp(at / 1000, UTC).hour) for at in self.opened_at)
            )
            or None,
            "city": self.latest["city"][2] if "city" in self.latest else None,
        }
        for field in ("audiences", "attributes"):
            pairs = {name[1]: held[2] for name, held in self.latest.items() if name[0] == field}
            fields[field] = pairs or None
        return self.newest, {name: value for name, value in fields.items() if value is not None}


CHECKED = (
    "cm_openct",
    "cm_clickct",
    "cm_campaign_ids",
    "cm_firstopen_ts",
    "cm_lastopen_ts",
    "cm_hourlyopen",
    "city",
    "audiences",
    "attributes",
)


def checked(found):
    """Of `profiles` what `reckon` reckons."""
    return {
        key: (newest, {name: fields[name] for name in CHECKED if name in fields})
        for key, (newest, fields) in found.items()
    }
