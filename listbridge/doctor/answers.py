"""How each question about the API is answered in a scratch list: a table of one small trial each.

Every trial has people of its own, so that an answer depends on no other. It returns the answer and what it
was seen by, or raises `Unclear`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from listbridge.campaign_monitor import FieldValue
from listbridge.campaign_monitor import readings as q
from listbridge.campaign_monitor.codes import INVALID_RULES
from listbridge.campaign_monitor.errors import FatalError, InvalidRequest, RowRefused
from listbridge.campaign_monitor.models import ImportRow, Subscriber
from listbridge.doctor.findings import patiently
from listbridge.doctor.trials import A, B, C, Trials, Unclear
from listbridge.errors import SystemProblem
from listbridge.learned import VERSION, Answer, Learned
from listbridge.store.store import now_ms

VERBS = ("EQUALS", "NOT_EQUALS", "CONTAINS", "NOT_CONTAINS", "PROVIDED", "NOT_PROVIDED")
CANDIDATES = ("EQUALS", "CONTAINS")

Told = tuple[str, str]
"""The answer, and what it was seen by."""
Trial = Callable[[Trials], Told]


def _words(held: set[str]) -> str:
    return ", ".join(sorted(held)) or "nothing"


def multi_select_import(trials: Trials) -> Told:
    who = trials.scratch.address("import")
    trials.wrote(who, *trials.options(A, B))
    return _joined(trials.chosen(trials.wrote(who, *trials.options(C))))


def multi_select_update(trials: Trials) -> Told:
    who = trials.scratch.address("update")
    trials.wrote(who, *trials.options(A, B))
    return _joined(trials.chosen(trials.updated(who, *trials.options(C))))


def _joined(held: set[str]) -> Told:
    seen = f"{A}, {B} and then {C} left {_words(held)}"
    if held == {C}:
        return "replace", seen
    if held == {A, B, C}:
        return "append", seen
    raise Unclear(seen)


def membership_row(trials: Trials) -> Told:
    who = trials.scratch.address("membership")
    trials.wrote(who, *trials.options(A, B))
    held = trials.chosen(trials.wrote(who, *trials.options(B, C, clear=[A])))
    only_cleared = trials.chosen(trials.wrote(who, *trials.options(clear=[C])))
    seen = f"{A}, {B}, then {B}, {C} and {A} cleared left {_words(held)}; {C} cleared {_words(only_cleared)}"
    return ("right" if (held, only_cleared) == ({B, C}, {B}) else "wrong"), seen


def absent_key_import(trials: Trials) -> Told:
    who = trials.scratch.address("absent-import")
    trials.wrote(who, *trials.options(A, B))
    return _kept(trials.chosen(trials.wrote(who)))


def absent_key_update(trials: Trials) -> Told:
    who = trials.scratch.address("absent-update")
    trials.wrote(who, *trials.options(A, B))
    return _kept(trials.chosen(trials.updated(who)))


def _kept(held: set[str]) -> Told:
    seen = f"{A}, {B} and then a row without the key left {_words(held)}"
    if held == {A, B}:
        return "kept", seen
    if not held:
        return "cleared", seen
    raise Unclear(seen)


def bare_key(trials: Trials) -> Told:
    key = trials.text.strip("[]")
    held = trials.written(trials.wrote(trials.scratch.address("bare"), FieldValue(key=key, value="given")))
    return ("accepted" if held == "given" else "ignored"), f"the key {key} stored {held or 'nothing'}"


def key_spelling(trials: Trials) -> Told:
    who = trials.wrote(trials.scratch.address("spelling"), FieldValue(key=trials.text, value="given"))
    spellings = {each.key for each in who.custom_fields}
    if len(spellings) != 1:
        raise Unclear(f"{len(spellings)} keys were read where one was written")
    [key] = spellings
    kind = "bracketed" if key == trials.text else "bare" if key == trials.text.strip("[]") else "name"
    return kind, f"{trials.text} is read as {key}"


def empty_value(trials: Trials) -> Told:
    who = trials.scratch.address("empty")
    trials.wrote(who, FieldValue(key=trials.text, value="given"))
    held = trials.written(trials.wrote(who, FieldValue(key=trials.text, value="")))
    return ("kept" if held == "given" else "cleared"), f"an empty text left {held or 'nothing'}"


def unknown_key(trials: Trials) -> Told:
    row = trials.row(trials.scratch.address("unknown-key"), FieldValue(key="[NoSuchField]", value="given"))
    answer = trials.refused_or_shown(row)
    return (
        ("ignored", "the rest of the row was stored") if isinstance(answer, Subscriber) else refused(answer)
    )


def unknown_option(trials: Trials) -> Told:
    row = trials.row(trials.scratch.address("unknown-option"), *trials.options(A, "no such option"))
    answer = trials.refused_or_shown(row)
    if not isinstance(answer, Subscriber):
        return refused(answer)
    held = trials.chosen(answer)
    return ("dropped" if held == {A} else "stored"), f"{A} and another text left {_words(held)}"


def refused(code: int) -> Told:
    return "refused", f"the row was refused with code {code}"


def duplicate_rows(trials: Trials) -> Told:
    who = trials.scratch.address("twice")
    first, last = trials.row(who), trials.row(who)
    trials.imported(first, last)
    won = trials.shown(first, last).name == last.name
    return ("last" if won else "first"), f"the {'second' if won else 'first'} row's name is held"


def address_case(trials: Trials) -> Told:
    who = trials.scratch.address("case")
    trials.wrote(who)
    trials.shown(_imported(trials, who.replace("listbridge", "LISTbridge")))
    rows = [each for each in _everybody(trials) if each.email_address.lower() == who]
    return ("one" if len(rows) == 1 else "two"), f"the list has {len(rows)} rows of both spellings"


def plus_address(trials: Trials) -> Told:
    who = trials.scratch.address("plus")
    tagged = who.replace("@", "+tag@")
    trials.wrote(who)
    row = trials.row(tagged)
    answer = trials.refused_or_shown(row)
    if not isinstance(answer, Subscriber):
        return refused(answer)
    rows = [each for each in _everybody(trials) if each.email_address in (who, tagged)]
    return ("another" if len(rows) == 2 else "same"), f"the list has {len(rows)} rows of both"


def _imported(trials: Trials, who: str) -> ImportRow:
    row = trials.row(who)
    trials.imported(row)
    return row


def date_filter(trials: Trials) -> Told:
    who = trials.wrote(trials.scratch.address("date"))
    minute = who.date[:16]
    day, clock = minute.split(" ")
    if clock in ("00:00", "23:59"):
        raise Unclear("midnight is too near to tell; try again later")
    if not _is_among(trials, who, f"{day} 00:00"):
        raise Unclear(f"somebody of {minute} is not among those since {day} 00:00")
    if _is_among(trials, who, f"{day} 23:59"):
        return "day", f"somebody of {minute} is among those since 23:59 of that day"
    if _is_among(trials, who, minute):
        return "inclusive", f"somebody of {minute} is among those since {minute}"
    return "exclusive", f"somebody of {minute} is not among those since {minute}"


def _is_among(trials: Trials, who: Subscriber, since: str) -> bool:
    page = patiently(lambda: trials.api.subscribers(trials.list_id, "active", date=since))
    return any(each.email_address == who.email_address for each in page.results)


def segment_verbs(trials: Trials) -> Told:
    taken = [verb for verb in VERBS if trials.takes(verb)]
    refused = [verb for verb in VERBS if verb not in taken]
    return ", ".join(taken) or "none", f"refused: {', '.join(refused) or 'none'}"


def option_verb(trials: Trials) -> Told:
    """Somebody has one option, somebody that and another one: a verb must find both."""
    for label, held in (("one", (B,)), ("both", (B, C)), ("other", (C,))):
        trials.wrote(trials.scratch.address(f"segment-{label}"), *trials.options(*held))
    chosen = [trials.chosen(each) for each in _everybody(trials)]
    having, having_only = sum(B in each for each in chosen), chosen.count({B})
    seen = []
    for verb in CANDIDATES:
        try:
            count = trials.counted(trials.segment(f"finds {verb}", f"{verb} {B}"))
        except InvalidRequest as problem:
            if problem.code != INVALID_RULES:
                raise
            seen.append(f"{verb} is refused")
            continue
        seen.append(f"{verb} finds {count} of the {having} people who have the option")
        if count == having:
            return verb, "; ".join(seen)
        if count != having_only:
            raise Unclear("; ".join(seen))
    return "none", "; ".join(seen)


def _everybody(trials: Trials) -> list[Subscriber]:
    page = patiently(lambda: trials.api.subscribers(trials.list_id, "active", order_field="email"))
    return list(page.results)


def unsubscribed_plain(trials: Trials) -> Told:
    return _returned(trials, _unsubscribed(trials, "out-plain"), "unsubscribed", resubscribe=False)


def unsubscribed_resubscribe(trials: Trials) -> Told:
    return _returned(trials, _unsubscribed(trials, "out-again"), "unsubscribed", resubscribe=True)


def deleted_plain(trials: Trials) -> Told:
    who = trials.scratch.address("deleted")
    trials.wrote(who)
    patiently(lambda: trials.api.delete_subscriber(trials.list_id, who))
    trials.left(who, "deleted")
    return _returned(trials, who, "deleted", resubscribe=False)


def _unsubscribed(trials: Trials, label: str) -> str:
    who = trials.scratch.address(label)
    trials.wrote(who)
    patiently(lambda: trials.api.unsubscribe(trials.list_id, who))
    trials.left(who, "unsubscribed")
    return who


def _returned(trials: Trials, who: str, before: str, *, resubscribe: bool) -> Told:
    """The state after a row for somebody who had left."""
    answer = trials.refused_or_shown(trials.row(who), resubscribe=resubscribe)
    if not isinstance(answer, Subscriber):
        found = trials.read(who)
        return (found.state.lower() if found else before), f"the row was refused with code {answer}"
    return answer.state.lower(), f"the row was taken, and the person is {answer.state}"


TRIALS: Mapping[str, Trial] = {
    q.MULTI_SELECT_IMPORT: multi_select_import,
    q.MULTI_SELECT_UPDATE: multi_select_update,
    q.MEMBERSHIP_ROW: membership_row,
    q.ABSENT_KEY_IMPORT: absent_key_import,
    q.ABSENT_KEY_UPDATE: absent_key_update,
    q.BARE_KEY: bare_key,
    q.KEY_SPELLING: key_spelling,
    q.EMPTY_VALUE: empty_value,
    q.UNKNOWN_KEY: unknown_key,
    q.UNKNOWN_OPTION: unknown_option,
    q.DUPLICATE_ROWS: duplicate_rows,
    q.ADDRESS_CASE: address_case,
    q.PLUS_ADDRESS: plus_address,
    q.DATE_FILTER: date_filter,
    q.SEGMENT_VERBS: segment_verbs,
    q.OPTION_VERB: option_verb,
    q.UNSUBSCRIBED_PLAIN: unsubscribed_plain,
    q.UNSUBSCRIBED_RESUBSCRIBE: unsubscribed_resubscribe,
    q.DELETED_PLAIN: deleted_plain,
}


def answered(
    trials: Trials, asked: Mapping[str, Trial], on_answer: Callable[[str, Answer], None] = lambda _q, _a: None
) -> dict[str, Answer]:
    """The answer to each question. After a problem that ends everything (a revoked key, a list that somebody
    deleted) the rest is unknown because of it."""
    found: dict[str, Answer] = {}
    ended = ""
    for question, trial in asked.items():
        answer = Answer(value="", detail=ended, at=now_ms())
        if not ended:
            answer, ended = _answer(trials, trial)
        found[question] = answer
        on_answer(question, answer)
    return found


def _answer(trials: Trials, trial: Trial) -> tuple[Answer, str]:
    """The answer, and the problem that ends everything, if it met one."""
    try:
        value, detail = trial(trials)
        return Answer(value=value, detail=detail, at=now_ms()), ""
    except Unclear as problem:
        return Answer(value="", detail=str(problem), at=now_ms()), ""
    except SystemProblem as problem:
        ends = isinstance(problem, FatalError) and not isinstance(problem, InvalidRequest | RowRefused)
        return Answer(value="", detail=str(problem), at=now_ms()), str(problem) if ends else ""


def learned_from(answers: Mapping[str, Answer]) -> Learned:
    return Learned(version=VERSION, at=now_ms(), answers=dict(answers))
