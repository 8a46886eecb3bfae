"""What no document says about the API, or several say differently: the questions and what answers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from listbridge.learned import Learned, value_of

MULTI_SELECT_IMPORT: Final = "multi_select_import"
MULTI_SELECT_UPDATE: Final = "multi_select_update"
MEMBERSHIP_ROW: Final = "membership_row"
ABSENT_KEY_IMPORT: Final = "absent_key_import"
ABSENT_KEY_UPDATE: Final = "absent_key_update"
BARE_KEY: Final = "bare_key"
KEY_SPELLING: Final = "key_spelling"
EMPTY_VALUE: Final = "empty_value"
UNKNOWN_KEY: Final = "unknown_key"
UNKNOWN_OPTION: Final = "unknown_option"
DUPLICATE_ROWS: Final = "duplicate_rows"
ADDRESS_CASE: Final = "address_case"
PLUS_ADDRESS: Final = "plus_address"
DATE_FILTER: Final = "date_filter"
SEGMENT_VERBS: Final = "segment_verbs"
OPTION_VERB: Final = "option_verb"
UNSUBSCRIBED_PLAIN: Final = "unsubscribed_plain"
UNSUBSCRIBED_RESUBSCRIBE: Final = "unsubscribed_resubscribe"
DELETED_PLAIN: Final = "deleted_plain"
SUPPRESSING: Final = "suppressing"
SUPPRESSED_IN_LIST: Final = "suppressed_in_list"
SUPPRESSED_ELSEWHERE: Final = "suppressed_never_in_list"
SUPPRESSED_RESUBSCRIBE: Final = "suppressed_resubscribe"
RESUBSCRIBE_LIFTS: Final = "resubscribe_lifts_suppression"


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `fine` are the answers with which everything works as documented; others are told as
    a warning with `otherwise`, or as a failure when `needed`. No `fine`: any answer is."""

    name: str
    asks: str
    fine: tuple[str, ...] = ()
    otherwise: str = ""
    needed: bool = False


QUESTIONS: Final = (
    Question(MULTI_SELECT_IMPORT, "values of a field of many options on import: do they replace or append?"),
    Question(
        MULTI_SELECT_UPDATE,
        "values of a field of many options on an update of one person: do they replace or append?",
    ),
    Question(
        MEMBERSHIP_ROW,
        "a row with the options that hold, and Clear for those that don't: is it right?",
        ("right",),
        "Memberships would be wrong in the list: pause all exports and report this.",
        needed=True,
    ),
    Question(
        ABSENT_KEY_IMPORT,
        "a field of many options that an imported row doesn't name: is it kept?",
        ("kept",),
        "Each row of an export empties the fields of many options that it doesn't map; `export plan` shows "
        "whose. Map these fields too, or keep them in another list.",
    ),
    Question(
        ABSENT_KEY_UPDATE,
        "a field of many options that an update of one person doesn't name: is it kept?",
        ("kept",),
        "Single updates empty the fields of many options that they don't name: avoid mode update_only.",
    ),
    Question(BARE_KEY, "a field's key without brackets: is it accepted?"),
    Question(KEY_SPELLING, "how does a reading spell a field's key?"),
    Question(EMPTY_VALUE, "an empty value without Clear: does the old one stay?"),
    Question(
        UNKNOWN_KEY,
        "a key that no field has: is it ignored?",
        ("ignored",),
        "A row is refused when a field was deleted meanwhile; it comes up in `export rejections`.",
    ),
    Question(UNKNOWN_OPTION, "a value that is no option: dropped, stored or refused?"),
    Question(DUPLICATE_ROWS, "two rows of one address in an import: which one counts?"),
    Question(
        ADDRESS_CASE,
        "addresses that differ by case: one person?",
        ("one",),
        "Listbridge takes such addresses for one person, so the list can hold two rows of them.",
    ),
    Question(
        PLUS_ADDRESS,
        "an address with +tag: another person than without?",
        ("another",),
        "Listbridge takes them for two people; their rows overwrite each other in the list.",
    ),
    Question(
        DATE_FILTER,
        "`date` of a list's people: is that moment included?",
        ("inclusive", "exclusive"),
        "Imports ask for people since a minute; with this answer a reading may bring more than it needs.",
    ),
    Question(SEGMENT_VERBS, "which verbs do segment rules on a field of many options take?"),
    Question(
        OPTION_VERB,
        "which verb finds everybody who has an option?",
        ("EQUALS", "CONTAINS"),
        "No verb that we know finds them, so the segments of exports would be wrong: `--no-segments`.",
    ),
    Question(
        UNSUBSCRIBED_PLAIN,
        "a row for somebody unsubscribed, without the resubscribe switch",
        ("unsubscribed",),
        "An opt-out would be undone by an ordinary row: pause all exports and report this.",
        needed=True,
    ),
    Question(UNSUBSCRIBED_RESUBSCRIBE, "a row for somebody unsubscribed, with the resubscribe switch"),
    Question(
        DELETED_PLAIN,
        "a row for somebody deleted, without the resubscribe switch",
        ("deleted",),
        "Somebody deleted would come back by an ordinary row: pause all exports and report this.",
        needed=True,
    ),
)

SUPPRESSION_QUESTIONS: Final = (
    Question(SUPPRESSING, "what does suppressing do to somebody active in a list?"),
    Question(SUPPRESSED_IN_LIST, "a row for somebody suppressed who is in the list"),
    Question(SUPPRESSED_ELSEWHERE, "a row for somebody suppressed who never was in the list"),
    Question(SUPPRESSED_RESUBSCRIBE, "a row for somebody suppressed, with the resubscribe switch"),
    Question(RESUBSCRIBE_LIFTS, "does a row with the resubscribe switch lift a suppression?"),
)

ASKED: Final = {each.name: each for each in (*QUESTIONS, *SUPPRESSION_QUESTIONS)}


# What is used. Each of it is right by the documentation as well, so that an answer that holds no longer
# costs a warning or an error, and nothing else.


def option_verb(learned: Learned | None) -> str:
    """The verb of segment rules that finds everybody who has an option."""
    known = value_of(learned, OPTION_VERB)
    return known if known in ASKED[OPTION_VERB].fine else "EQUALS"


def joins(learned: Learned | None, *, single: bool = False) -> bool:
    """Do imported values of a field of many options join what it held, or those of a single update?"""
    return value_of(learned, MULTI_SELECT_UPDATE if single else MULTI_SELECT_IMPORT) == "append"


def empties_unnamed(learned: Learned | None, *, single: bool = False) -> bool:
    """Does an imported row empty the fields of many options that it doesn't name, or a single update?"""
    return value_of(learned, ABSENT_KEY_UPDATE if single else ABSENT_KEY_IMPORT) == "cleared"
