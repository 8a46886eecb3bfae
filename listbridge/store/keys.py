"""Every key name in the store, made here and nowhere else.

Keys that one script touches together share a hash tag, so that the script stays in one slot of a
cluster. The tag of a partition is its number, with a suffix chosen so that the partitions' slots
spread evenly.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

from redis.crc import key_slot

SLOTS = 16384

META = "lb:meta"
MAPPING = "lb:mapping"
"""Which version of the mappings is active, and a record of each version."""
WORKFLOWS = "lb:workflows"
EVERYTHING = "lb:*"
"""Matches every key of ours."""
PASSING = (
    "lb:lease:*",
    "lb:bell:*",
    "lb:pace:*",
    "lb:oauth:*",
    "lb:plan:*",
    "lb:testing:*",
    "lb:{*}:bell",
    "lb:adoption:*",
    "lb:reconciling:*",
)
"""Match what is true for a moment only, such as how far a list has been read: a copy of the store does
without."""
AUTHORIZATIONS = "lb:authorizations"
DUPLICATES = "lb:duplicates"
ERASING = "lb:erasing"
"""The addresses of each erasure that has not ended, so that it can be."""
ARCHIVE = "lb:archive"
"""How the archive's last passes ended, and what was published of it."""
ACCOUNTS = "lb:accounts"

AUDIENCE_SETS = "lb:{*}:audience:*"
"""A pattern of the names that `PartitionKeys.audience` makes."""


@lru_cache(maxsize=4096)
def tag(partition: int, partitions: int) -> str:
    """The hash tag of a partition: its slot lies in the partition's own share of all slots."""
    low = partition * SLOTS // partitions
    high = (partition + 1) * SLOTS // partitions
    name = f"{partition:02}"
    attempt = 0
    while not low <= key_slot(name.encode()) < high:
        attempt += 1
        name = f"{partition:02}-{attempt:x}"
    return name


def hash_of(key: bytes) -> int:
    """What the partition of a person's key (or of the raw bytes of what has none) hangs on: its CRC-32."""
    return zlib.crc32(key)


def partition_of(key: bytes, partitions: int) -> int:
    """The key's hash modulo the partitions."""
    return hash_of(key) % partitions


class PartitionKeys:
    """The key names of one partition."""

    __slots__ = ("_prefix", "number")

    def __init__(self, number: int, partitions: int) -> None:
        self.number = number
        self._prefix = f"lb:{{{tag(number, partitions)}}}:"

    def stream(self, stream: str) -> str:
        return f"{self._prefix}stream:{stream}"

    def seen(self, stream: str, day: int) -> str:
        """`day` is the event's own, counted from 1 January 1970 UTC."""
        return f"{self._prefix}seen:{stream}:{day}"

    def quarantine(self, stream: str) -> str:
        return f"{self._prefix}quarantine:{stream}"

    @property
    def totals(self) -> str:
        """Stream -> events ever appended, and `<stream>:trimmed` -> those that are in the archive only."""
        return f"{self._prefix}totals"

    @property
    def hold(self) -> str:
        """Who must not have this partition's streams trimmed -> until when (epoch ms)."""
        return f"{self._prefix}hold"

    @property
    def archive(self) -> str:
        """Stream -> how far it is archived, and the claim on what is being written."""
        return f"{self._prefix}archive"

    def archived(self, stream: str) -> str:
        """Path -> what is known of a file that counts."""
        return f"{self._prefix}archived:{stream}"

    def retired(self, stream: str) -> str:
        """Path of a file that was replaced -> when it is to be deleted (epoch ms)."""
        return f"{self._prefix}retired:{stream}"

    @property
    def bell(self) -> str:
        """Set while a fold has been asked for and not begun."""
        return f"{self._prefix}bell"

    @property
    def version(self) -> str:
        return f"{self._prefix}version"

    @property
    def mapping(self) -> str:
        """The newest version of the mappings that has committed to the partition."""
        return f"{self._prefix}mapping"

    @property
    def offsets(self) -> str:
        return f"{self._prefix}offsets"

    @property
    def attempts(self) -> str:
        return f"{self._prefix}attempts"

    @property
    def fold_lease(self) -> str:
        return f"{self._prefix}lease"

    @property
    def profiles(self) -> str:
        return f"{self._prefix}profiles"

    @property
    def tombstones(self) -> str:
        """Keyed hash of an erased person's key -> when they were erased (epoch ms)."""
        return f"{self._prefix}tombstones"

    @property
    def erasures(self) -> str:
        """What erasures have done in the partition: see `erasure`."""
        return f"{self._prefix}erasures"

    def rewriting(self, copy: str) -> str:
        """A stream without an erased person, while it is being written."""
        return f"{self._prefix}rewriting:{copy}"

    @property
    def pattern(self) -> str:
        """A pattern of all names of the partition."""
        return f"{self._prefix}*"

    @property
    def changed(self) -> str:
        return f"{self._prefix}changed"

    @property
    def skips(self) -> str:
        """Column -> events that it skipped."""
        return f"{self._prefix}skips"

    @property
    def sequence(self) -> str:
        return f"{self._prefix}sequence"

    def audience(self, slug: str) -> str:
        return f"{self._prefix}audience:{slug}"

    def fence(self, list_id: str) -> str:
        """The token of the deliverer that may write this list's outcomes."""
        return f"{self._prefix}fence:{list_id}"

    def delivered(self, list_id: str) -> str:
        return f"{self._prefix}delivered:{list_id}"

    def refused(self, list_id: str) -> str:
        return f"{self._prefix}refused:{list_id}"

    def history(self, list_id: str) -> str:
        """Key -> the last few outcomes in this list."""
        return f"{self._prefix}history:{list_id}"

    def cursor(self, list_id: str) -> str:
        return f"{self._prefix}cursor:{list_id}"

    def retry(self, list_id: str) -> str:
        return f"{self._prefix}retry:{list_id}"

    def spread(self, list_id: str) -> str:
        """Key -> what became of the person's opt-out from another list; see `exports.spread`."""
        return f"{self._prefix}spread:{list_id}"

    def spread_cursor(self, list_id: str) -> str:
        """How far the partition's changes have been looked at for opt-outs from other lists."""
        return f"{self._prefix}spread-cursor:{list_id}"

    def spread_again(self, list_id: str) -> str:
        """People whom the system refused to take off the list -> when that is tried again (epoch ms)."""
        return f"{self._prefix}spread-again:{list_id}"

    def drift(self, list_id: str) -> str:
        """Key -> how the person's row in a list was otherwise than it should be when it was checked."""
        return f"{self._prefix}drift:{list_id}"

    def listed(self, list_id: str) -> str:
        """Hashes of the people whom a check of a list has seen there, end to end."""
        return f"{self._prefix}listed:{list_id}"

    def claims(self, list_id: str) -> str:
        """Address (the partition's is the address's) -> key of the person whose row goes to it."""
        return f"{self._prefix}claims:{list_id}"

    def claimants(self, list_id: str) -> str:
        """Who waits for an address of this partition, as `<address> <key>`, all with the score 0."""
        return f"{self._prefix}claimants:{list_id}"

    def relatives(self, list_id: str) -> str:
        """Key with links -> a fingerprint of who was who around it when a delivery looked at it last."""
        return f"{self._prefix}relatives:{list_id}"

    def tracked(self, kind: str, list_id: str) -> str:
        """People to whom something happened in a list -> when (epoch ms); see `exports.brakes`."""
        return f"{self._prefix}tracked:{kind}:{list_id}"


def place_of(part: PartitionKeys, name: str) -> str:
    """What a name of the partition says after the partition, such as `delivered:<list>`."""
    return name.removeprefix(part.pattern.removesuffix("*"))


def every(kind: str) -> str:
    """A pattern of the names of a kind, such as `claims`, in all partitions."""
    return f"lb:{{*}}:{kind}:*"


def slug_of(name: bytes) -> str:
    """The audience of a key that `AUDIENCE_SETS` matches."""
    return name.split(b":", 3)[3].decode()


def workflow(workflow_id: str) -> str:
    return f"lb:workflow:{workflow_id}"


def authorization(authorization_id: str) -> str:
    return f"lb:authorization:{authorization_id}"


def cursors(client_id: str) -> str:
    return f"lb:cursors:{client_id}"


def remembered(client_id: str) -> str:
    """What was read of a client's mailings and is good for a while."""
    return f"lb:remembered:{client_id}"


def progress(workflow_id: str) -> str:
    return f"lb:progress:{workflow_id}"


def run(workflow_id: str) -> str:
    """How far each resource of an import's present or last run has come."""
    return f"lb:run:{workflow_id}"


def log(workflow_id: str) -> str:
    return f"lb:log:{workflow_id}"


def pace(account: str) -> str:
    """How an account's budget of calls stands."""
    return f"lb:pace:{{{account}}}"


def flights(account: str) -> str:
    """The calls of an account that are in flight."""
    return f"{pace(account)}:flights"


def oauth_state(state: str) -> str:
    """A grant that a person was sent for."""
    return f"lb:oauth:{state}"


def queue(name: str) -> str:
    """How long the tasks of a queue waited."""
    return f"lb:queue:{name}"


def lease(what: str) -> str:
    return f"lb:lease:{what}"


def bell(what: str) -> str:
    return f"lb:bell:{what}"


def receiver(workflow_id: str) -> str:
    """What a webhook receiver has to know of an import."""
    return f"lb:receiver:{workflow_id}"


RECEIVING = "lb:{receiving}:beat"
"""When the web service last said that it takes deliveries (epoch ms)."""


def gaps(list_id: str = "") -> str:
    """The times in which deliveries may have been missed: of all webhooks, or of one list's."""
    return f"lb:{{receiving}}:gaps:{list_id}" if list_id else "lb:{receiving}:gaps"


def client_zone(client_id: str) -> str:
    """The time zone by which a client's times are read, and another one that waits to be confirmed."""
    return f"lb:zone:{client_id}"


def client_lists(client_id: str) -> str:
    """The lists that a client is known to have."""
    return f"lb:lists:{client_id}"


def suppressed(client_id: str, what: str) -> str:
    """A client's suppression list; one hash tag, because a new list takes the old one's place."""
    return f"lb:{{suppressed:{client_id}}}:{what}"


def adoption(list_id: str) -> str:
    """How far the people whom a list held before have been read."""
    return f"lb:adoption:{list_id}"


def reconciling(list_id: str) -> str:
    """How far a check of a list has come."""
    return f"lb:reconciling:{list_id}"


def reconciled(list_id: str) -> str:
    """What the last check of a list found."""
    return f"lb:reconciled:{list_id}"


def plan(workflow_id: str) -> str:
    """The last plan of an export that was asked for over HTTP."""
    return f"lb:plan:{workflow_id}"


def told(list_id: str) -> str:
    """When a webhook told something of a list last (epoch ms)."""
    return f"lb:told:{list_id}"


TESTS = "lb:tests"
"""List and name of each webhook test -> until when whoever began it answers for its samples (epoch ms)."""


def testing(list_id: str) -> str:
    """Set while the webhooks of a list are tested; samples go aside then."""
    return f"lb:testing:{{{list_id}}}"


def samples(list_id: str) -> str:
    """The deliveries that came while the webhooks of a list were tested."""
    return f"lb:testing:{{{list_id}}}:samples"


SAMPLES = "lb:testing:*:samples"
"""A pattern of the names that `samples` makes."""


def list_setup(list_id: str) -> str:
    """What an export made in a list: the field's key, its options, the segments."""
    return f"lb:list:{list_id}"


def rewound(list_id: str) -> str:
    """When the exports into a list began to look at everybody again, and how many people there were."""
    return f"lb:rewound:{list_id}"


def cleanup(list_id: str) -> str:
    """The rules of a list's segments while its options are replaced."""
    return f"lb:cleanup:{list_id}"
