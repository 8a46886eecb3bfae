"""What an export engine asks of a system that holds lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from listbridge.streams.events import Event

FieldValue = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What a list should hold of one person.

    `options` are the labels of the audiences they are in, sorted; `cleared` the labels of ours
    that must not be set; `values` the mapped fields, by the system's field key. `other_options` are
    what the field holds beside and keeps. `new`: nothing says that the list ever had them. A value `""`
    empties its field; `removed` are options of other fields that were set before and are not any more.
    `consent` (None: as the export says for everybody), `mobile` (E.164) and `sms` are sent when they are
    given. `dropped` are values that their field can't take, and why: left out, the rest is sent.
    `moved_from` are other addresses (lower case) under which the list may have the person: with
    `Way.MOVE` the first of them is the one that gets the address `email`. `formerly` are such addresses
    that have become somebody else's: an opt-out there still counts.
    """

    key: str
    email: str
    name: str | None
    options: tuple[str, ...]
    cleared: tuple[str, ...] = ()
    values: tuple[tuple[str, FieldValue], ...] = ()
    other_options: tuple[str, ...] = ()
    new: bool = field(default=False, compare=False)
    removed: tuple[tuple[str, str], ...] = ()
    consent: str | None = None
    mobile: str | None = None
    sms: str | None = None
    dropped: tuple[tuple[str, str], ...] = ()
    moved_from: tuple[str, ...] = ()
    formerly: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Has the list to be asked for other addresses of the person first?"""
        return bool(self.moved_from or self.formerly)


class Way(StrEnum):
    """How a row travels: imports carry many, the others one each.

    `ADD` is an import of people of whom the list has just said that it doesn't have them. `MOVE` gives
    the person at the old address the new one, and the row.
    """

    IMPORT = "import"
    ADD = "add"
    UPDATE = "update"
    UNSUBSCRIBE = "unsubscribe"
    MOVE = "move"


SINGLE = frozenset({Way.UPDATE, Way.UNSUBSCRIBE, Way.MOVE})


@dataclass(frozen=True, slots=True, order=True)
class Flags:
    """Switches of a whole call; rows travel with those that are due the same."""

    resubscribe: bool = False
    queue_autoresponders: bool = False
    restart_autoresponders: bool = False
    way: Way = Way.IMPORT


class OutcomeKind(StrEnum):
    STORED = "stored"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: `code` and `message` are the system's own words for a refusal."""

    key: str
    kind: OutcomeKind
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer to one call."""

    outcomes: Sequence[Outcome]
    added: int
    updated: int


@dataclass(frozen=True, slots=True)
class Found:
    """How a list has an address: `status` in our words and since when (epoch ms), and all that the audience
    field holds."""

    status: str
    since: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MappedField:
    """A field that an export writes beside the audiences': by name, of a type if one is asked for.

    `create`: it is made where it is missing, with the `options`, of which an existing one gets those that
    it lacks.
    """

    name: str
    type: str = ""
    options: tuple[str, ...] = ()
    create: bool = False


@dataclass(frozen=True, slots=True)
class ListSetup:
    """What a list must offer before rows are sent: one option and one segment per audience label.

    `checked` are the labels whose segments an earlier preparation made or found right.
    """

    field_name: str
    labels: tuple[str, ...]
    segments: bool
    mapped_fields: tuple[MappedField, ...]
    checked: tuple[str, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` found or made: the audience field's key, and the mapped fields' keys by given name.

    `kinds` are the mapped fields' types by key, `choices` the options of those that take nothing else.
    `found`: the audience field was there before, so people may hold values in it.
    `notes` say what is otherwise than it should be and was left so.
    """

    field_key: str
    mapped_keys: Mapping[str, str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    found: bool = False
    notes: tuple[str, ...] = ()


class Destination(Protocol):
    """One list of one system. All methods raise `listbridge.errors`."""

    batch_limit: int
    call_seconds: float
    """The longest that one call can take, connect and read together."""

    def prepare(self, setup: ListSetup) -> Prepared:
        """Make what is missing; called again, it changes nothing."""
        ...

    def send(self, prepared: Prepared, rows: Sequence[Row], flags: Flags) -> Sent:
        """Write the rows in one call; an outcome for each. A failure of the whole call raises.

        One row at a time travels in a way that is `SINGLE`. Whoever is new to the list and suppressed is
        refused, unless the flags say resubscribe. A move is refused as `in_list` when the list has the new
        address already, as `not_in_list` when it doesn't have the old one.
        """
        ...

    def state_of(self, email: str) -> tuple[str, int] | None:
        """The person's status in the list and since when (epoch ms), or None when they aren't in it."""
        ...

    def look_up(self, prepared: Prepared, email: str) -> Found | None:
        """How the list has the address, or None when it doesn't."""
        ...

    def suppressed(self, emails: Sequence[str]) -> set[str]:
        """Those of the addresses that the list's client never sends to."""
        ...

    def still_offers(self, prepared: Prepared, labels: Sequence[str]) -> bool:
        """Does the list still have the fields that were prepared, of their types, with all labels?

        A value for a field or an option that is gone is dropped without a word.
        """
        ...

    def clock_offset_ms(self) -> int:
        """The system's clock minus ours; it may be asked for that."""
        ...


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What an export would leave behind in a list: the field that holds its options, those options that
    no other export needs, the segments (title -> id) whose only rule asks for one of them.

    `field_key` is empty when the list has no such field; `others` are its options that stay, `ruled` the
    titles of other segments with a rule on the field.
    """

    field_name: str
    field_key: str = ""
    options: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    segments: Mapping[str, str] = field(default_factory=dict)
    ruled: tuple[str, ...] = ()


class Caretaker(Protocol):
    """Clears up what exports made in one list. All methods raise `listbridge.errors`."""

    def leftovers(self, field_name: str, labels: Sequence[str]) -> Leftovers:
        """What there is of these labels."""
        ...

    def remove_segment(self, segment_id: str) -> None: ...

    def remove_field(self, key: str) -> None:
        """Remove the field with all its values and all segment rules on it."""
        ...

    def rules_on(self, key: str) -> Mapping[str, bytes]:
        """The segments with a rule on the field: id -> what `restore` needs."""
        ...

    def replace_options(self, key: str, options: Sequence[str]) -> None:
        """Leave the field these options, at least one. The list may drop all segment rules on it."""
        ...

    def restore(self, segment_id: str, rules: bytes) -> None:
        """Give a segment its rules back, if it is there. Raises `Skippable` when they are no rules now."""
        ...


class Remover(Protocol):
    """Takes one person out of all that a client has. All methods raise `listbridge.errors`."""

    def delete(self, address: str) -> int:
        """Delete the person from all lists; -> from how many."""
        ...

    def suppress(self, address: str) -> None:
        """Have the person never be sent anything."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A person as a list holds them: `status` in our words and since when (epoch ms, 0 if unreadable);
    `values` by the system's field key, the audience field among them. `row` is what the system gave, for
    `ListReader.events`."""

    address: str
    status: str
    since: int
    name: str
    values: Mapping[str, tuple[str, ...]]
    row: object = field(default=None, compare=False, repr=False)


class Restorer(Protocol):
    """Takes back what a trial did to one person of a list. All methods raise `listbridge.errors`."""

    def put_back(self, before: Listed, keys: Sequence[str], *, mobile: bool = False) -> None:
        """Give somebody the name, the consent, the values in these fields and, if asked, the `mobile` number
        that they had `before`."""
        ...

    def delete(self, address: str) -> None:
        """Take somebody out of the list; it keeps the address as deleted."""
        ...

    def unsubscribe(self, address: str) -> None:
        """Refused where that takes people off all lists."""
        ...


@dataclass(frozen=True, slots=True)
class ListPage:
    """Some people of a list; `position` is where the reading goes on after them, `total` how many there
    are in that status."""

    people: Sequence[Listed]
    position: str
    total: int


@dataclass(frozen=True, slots=True)
class Survey:
    """A list as it is, beside what `Destination.prepare` would make of it.

    `prepared` has the keys that the list has or would get. `confirms`: new people are asked by mail and
    are unconfirmed until they answer. `honours_suppression`: suppressed people who were in the list are
    refused. `new_fields` are mapped fields that would be made. `joins`: it is known that sent values of a
    field of many options join what it held; `emptied` are the keys of fields that are known to be emptied
    by a row that doesn't name them.
    """

    title: str
    prepared: Prepared
    creates_field: bool
    new_options: tuple[str, ...]
    new_segments: tuple[str, ...]
    confirms: bool
    honours_suppression: bool
    unsubscribe_setting: str
    size: int
    """People in all statuses together."""
    new_fields: tuple[str, ...] = ()
    joins: bool = False
    emptied: tuple[str, ...] = ()


class ListReader(Protocol):
    """Reads one list and writes nothing. All methods raise `listbridge.errors`."""

    statuses: tuple[str, ...]
    calls: int
    """How many calls were made so far."""
    batch_limit: int

    def survey(self, setup: ListSetup) -> Survey:
        """The list as it is, and what `Destination.prepare` would add."""
        ...

    def size(self) -> int:
        """How many are in the list, in all statuses together: one call."""
        ...

    def people(self, status: str, position: str = "", expected: int = 0) -> Iterator[ListPage]:
        """Everybody in a status, page by page, some perhaps twice; from a `position` on, if one is given.

        A right guess of how many are `expected` saves a call."""
        ...

    def person(self, address: str) -> Listed | None:
        """One person in any state, None when the list does not have the address: one call."""
        ...

    def events(self, people: Sequence[Listed]) -> Sequence[Event]:
        """The people's states in this list as an import of it would bring them."""
        ...

    def suppressed(self) -> Iterator[Sequence[str]]:
        """The addresses that the list's client never sends to, page by page."""
        ...

    def leaving_ends_all(self) -> bool:
        """Does unsubscribing from this list take a person off all lists of the client?"""
        ...

    def other_lists(self) -> Mapping[str, str]:
        """Id -> name of the client's other lists."""
        ...

    def active_in(self, list_id: str) -> Iterator[Sequence[str]]:
        """The addresses that are active in another list, page by page."""
        ...

    def takes(self, address: str) -> bool:
        """Is this an address as the system accepts them?"""
        ...

    def stored(self, kind: str, value: str) -> str | None:
        """How a field of this kind keeps a value; None when it silently doesn't."""
        ...
