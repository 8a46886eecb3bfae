"""The trials of suppression: in a list that heeds the client's suppression list."""

from __future__ import annotations

import time
from collections.abc import Mapping

from listbridge.campaign_monitor import readings as q
from listbridge.campaign_monitor.models import Subscriber
from listbridge.doctor.answers import Told, Trial, refused
from listbridge.doctor.findings import patiently
from listbridge.doctor.trials import Trials, Unclear


def suppressing(trials: Trials) -> Told:
    who = _suppressed(trials, "suppressing", known=True)
    found = trials.read(who)
    state = found.state.lower() if found else "gone"
    return state, f"somebody active who was suppressed is {state}"


def suppressed_in_list(trials: Trials) -> Told:
    who = _suppressed(trials, "known", known=True)
    return _added(trials, who, resubscribe=False)


def suppressed_elsewhere(trials: Trials) -> Told:
    return _added(trials, _suppressed(trials, "stranger", known=False), resubscribe=False)


def suppressed_resubscribe(trials: Trials) -> Told:
    return _added(trials, _suppressed(trials, "again", known=True, left=True), resubscribe=True)


def resubscribe_lifts(trials: Trials) -> Told:
    who = _suppressed(trials, "lifted", known=True, left=True)
    told, seen = _added(trials, who, resubscribe=True)
    if told == "refused":
        raise Unclear(f"the switch doesn't help: {seen}")
    still = _is_suppressed(trials, who)
    return (
        ("no", "still on the suppression list") if still else ("yes", "not on the suppression list any more")
    )


def _suppressed(trials: Trials, label: str, *, known: bool, left: bool = False) -> str:
    """Somebody suppressed: known to the list, and unsubscribed from it before."""
    who = trials.scratch.address(f"suppressed-{label}")
    if known:
        trials.wrote(who)
    if left:
        # Where that suppresses them too, this has to be undone as well.
        trials.scratch.suppressed.append(who)
        patiently(lambda: trials.api.unsubscribe(trials.list_id, who))
        trials.left(who, "unsubscribed")
    trials.scratch.suppress(who)
    end = time.monotonic() + trials.patience.shows
    while not _is_suppressed(trials, who):
        if time.monotonic() > end:
            raise Unclear("the suppressed address does not show on the suppression list")
        time.sleep(trials.patience.poll)
    return who


def _is_suppressed(trials: Trials, who: str) -> bool:
    """Is the address among the newest 1000?"""
    page = patiently(lambda: trials.api.suppression_list(trials.scratch.client_id, order_direction="desc"))
    return any(each.email_address.lower() == who.lower() for each in page.results)


def _added(trials: Trials, who: str, *, resubscribe: bool) -> Told:
    answer = trials.refused_or_shown(trials.row(who), resubscribe=resubscribe)
    if not isinstance(answer, Subscriber):
        return refused(answer)
    return "taken", f"the row was taken, and the person is {answer.state}"


SUPPRESSION_TRIALS: Mapping[str, Trial] = {
    q.SUPPRESSING: suppressing,
    q.SUPPRESSED_IN_LIST: suppressed_in_list,
    q.SUPPRESSED_ELSEWHERE: suppressed_elsewhere,
    q.SUPPRESSED_RESUBSCRIBE: suppressed_resubscribe,
    q.RESUBSCRIBE_LIFTS: resubscribe_lifts,
}
