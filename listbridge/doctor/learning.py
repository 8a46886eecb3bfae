"""Finding out what no document says, on a live account, and keeping it with the authorization."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from listbridge import authorizations
from listbridge.authorizations import Authorization
from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.lists import UnsubscribeSetting
from listbridge.context import Context
from listbridge.doctor.answers import TRIALS, Trial, answered, learned_from
from listbridge.doctor.scratch import Leftovers, Say, leftovers, remove, scratch_list
from listbridge.doctor.suppression_answers import SUPPRESSION_TRIALS
from listbridge.doctor.trials import Patience, Trials
from listbridge.errors import Fatal
from listbridge.learned import Answer
from listbridge.store.lease import Lease

LEASE_MS = 15_000
PATIENCE = Patience()

OnAnswer = Callable[[str, Answer], None]


class DoctorAtWork(Fatal):
    """Another doctor works in this client, or was killed a moment ago: try again in a quarter of a minute."""


@dataclass(frozen=True)
class Ground:
    """Where to try things: `domain` is that of the people who are made up."""

    client_id: str
    domain: str = "example.com"
    suppress: bool = False


def find_out(
    context: Context,
    authorization: Authorization,
    api: CampaignMonitor,
    ground: Ground,
    *,
    say: Say,
    may_remove: Callable[[Leftovers], bool],
    on_answer: OnAnswer = lambda _question, _answer: None,
    in_list: Callable[[str], None] = lambda _list_id: None,
) -> dict[str, Answer]:
    """Ask all questions in scratch lists; what was answered is kept, also when this is broken off.

    `may_remove` is asked when something of a killed run is there; `in_list` may do more in the scratch list,
    whose id it gets. Raises `DoctorAtWork` and the API's
    problems with making the list.
    """
    lease = Lease(context.store, f"doctor:{ground.client_id}", LEASE_MS)
    if not lease.acquire():
        raise DoctorAtWork(f"{DoctorAtWork.__doc__}")
    answers: dict[str, Answer] = {}

    def note(question: str, answer: Answer) -> None:
        answers[question] = answer
        on_answer(question, answer)

    try:
        with lease.kept(), interrupted_by_signals():
            found = leftovers(api, ground.client_id)
            if found and may_remove(found):
                remove(api, ground.client_id, found, say)
            _ask(api, ground, "OnlyThisList", TRIALS, say, note, in_list)
            if ground.suppress:
                _ask(api, ground, "AllClientLists", SUPPRESSION_TRIALS, say, note)
    finally:
        if answers:
            authorizations.learn(context.store, authorization.id, learned_from(answers))
        lease.release()
    return answers


def _ask(
    api: CampaignMonitor,
    ground: Ground,
    setting: UnsubscribeSetting,
    asked: Mapping[str, Trial],
    say: Say,
    note: OnAnswer,
    in_list: Callable[[str], None] = lambda _list_id: None,
) -> None:
    with scratch_list(api, ground.client_id, ground.domain, setting, say) as scratch:
        in_list(scratch.list_id)
        trials = Trials(scratch, PATIENCE)
        trials.set_up()
        answered(trials, asked, note)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """A polite kill and a closed terminal end this as Ctrl-C does, so that the scratch list is deleted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    held = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in held.items():
            signal.signal(each, handler)
