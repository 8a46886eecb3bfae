"""The whole of an examination: ours, the account, its clients, lists and webhooks, what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from listbridge.aggregation.kinds import rfc3339
from listbridge.authorizations import Authorization
from listbridge.campaign_monitor.readings import ASKED, Question, option_verb
from listbridge.campaign_monitor.webhooks import receiver
from listbridge.context import Context
from listbridge.doctor.account import (
    Account,
    Headers,
    examine_client,
    examine_clock,
    examine_credential,
    examine_leftovers,
    examined_clients,
)
from listbridge.doctor.findings import (
    Examination,
    Finding,
    Outcome,
    Verdict,
    failed,
    fine,
    patiently,
    warning,
)
from listbridge.doctor.here import examine_here, examine_public_url
from listbridge.doctor.hooks import examine_webhooks
from listbridge.doctor.lists import ListExam
from listbridge.errors import SystemProblem
from listbridge.learned import VERSION, Answer, Learned
from listbridge.store.store import now_ms
from listbridge.systems import campaign_monitor_client
from listbridge.workflows import registry
from listbridge.workflows.models import ExportConfig, State, Workflow

OLD_MS = 180 * 86_400_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at: a client and a list by id or name, an address in the place of the setting's.
    `learns`: what no document says is found out afterwards."""

    client: str | None = None
    list: str | None = None
    public_url: str = ""
    learns: bool = False


def examine(
    context: Context,
    authorization: Authorization,
    wanted: Wanted,
    on_finding: Callable[[Finding], None] = lambda _: None,
) -> tuple[Examination, Account]:
    """Look at everything that an authorization's exports and imports need. Nothing is changed, but that each
    import's webhooks are tested."""
    exam, headers = Examination(on_finding), Headers()
    examine_here(exam, context)
    public_url = (wanted.public_url or context.settings.public_url).rstrip("/")
    if public_url:
        examine_public_url(exam, public_url)
    account = Account()

    def connect() -> Verdict:
        account.connect(campaign_monitor_client(context, authorization, watch=headers.watch))
        return fine("can be read")

    stored = exam.step("stored credential", authorization.description, connect)
    credential = examine_credential(exam, account, authorization.description, stored)
    examine_clock(exam, account, credential)
    workflows = _workflows(context, authorization)
    shown = _examine_clients(exam, account, workflows, wanted, credential)
    _examine_lists(exam, context, authorization, account, workflows, wanted, shown, credential)
    for workflow in workflows:
        if workflow.kind == "import":
            examine_webhooks(exam, context, account, workflow, public_url, credential)
    exam.step("rate limit", "", headers.verdict, needs=[credential])
    if not wanted.learns:
        examine_learned(exam, authorization.learned)
    return exam, account


def _workflows(context: Context, authorization: Authorization) -> list[Workflow]:
    """What acts with the authorization and has not ended; imports that are done keep their webhooks."""
    found = registry.list_all(context.store)
    mine = [each for each in found if each.authorization_id == authorization.id]
    return [each for each in mine if each.state is not State.COMPLETED or receiver(context.store, each.id)]


def _examine_clients(
    exam: Examination,
    account: Account,
    workflows: Sequence[Workflow],
    wanted: Wanted,
    credential: Finding,
) -> dict[str, Finding]:
    """-> the finding about each client's lists."""
    client = _id(wanted.client, {each.client_id: each.name for each in account.clients})
    client = client or (_client_with(account, wanted.list) if wanted.list and credential.passed else "")
    clients, hidden = examined_clients(account, [each.config.client_id for each in workflows], client)
    for each in hidden:
        exam.step("lists", each, lambda: failed("the client is not shown", HIDDEN), needs=[credential])
    found = {each.client_id: examine_client(exam, account, each, credential) for each in clients}
    for named in clients:
        examine_leftovers(exam, account, named, found[named.client_id])
    if credential.passed and not found and not hidden:
        names = ", ".join(repr(each.name) for each in account.clients)
        note = warning(f"not looked at, because no workflow uses one: {names}", "Say which with --client.")
        exam.step("lists", "", lambda: note, needs=[credential])
    return found


def _client_with(account: Account, wanted: str) -> str:
    """The first client that shows a list of that id or name; nothing for none."""
    for client in account.clients:
        held: dict[str, str] = {}
        with suppress(SystemProblem):  # the client's own step tells it
            lists = patiently(partial(account.api.lists, client.client_id))
            held = {each.list_id: each.name for each in lists}
        if _id(wanted, held) in held:
            return client.client_id
    return ""


SHOWN_LISTS = 10
HIDDEN = "Use a credential that shows it, or correct the id (the API says 401 for an id of another account)."


def _examine_lists(
    exam: Examination,
    context: Context,
    authorization: Authorization,
    account: Account,
    workflows: Sequence[Workflow],
    wanted: Wanted,
    shown: dict[str, Finding],
    credential: Finding,
) -> None:
    """The lists that exports feed, or the one that is wanted."""
    names = account.names()
    fed = {each.export.list_id: each.config.client_id for each in workflows if _is_export(each)}
    chosen = _id(wanted.list, names)
    for list_id in [chosen] if chosen else list(fed):
        client = account.client_of(list_id) or fed.get(list_id, "")
        visible = exam.step(
            "visible",
            names.get(list_id, list_id),
            partial(_visible, list_id, names),
            needs=[shown.get(client, credential)],
        )
        feeds = registry.exports_to(context.store, list_id)
        verb = option_verb(authorization.learned)
        name = names.get(list_id, list_id)
        ListExam(exam, context, account, list_id, name, feeds, verb).run(visible)


def _is_export(workflow: Workflow) -> bool:
    return isinstance(workflow.config, ExportConfig)


def _visible(list_id: str, names: dict[str, str]) -> Verdict:
    if list_id in names:
        return fine(f"its id is {list_id}")
    some = sorted(names.values())
    shown = ", ".join(some[:SHOWN_LISTS]) + (" and others" if len(some) > SHOWN_LISTS else "")
    return failed(f"no such list is shown; there are {shown}" if some else "no list is shown", HIDDEN)


def _id(wanted: str | None, known: dict[str, str]) -> str:
    """The id of what is called so, case aside; what is not known stays as it is."""
    if not wanted or wanted in known:
        return wanted or ""
    named = [each for each, name in known.items() if name.casefold() == wanted.casefold()]
    return named[0] if len(named) == 1 else wanted


# What was learned


def examine_learned(exam: Examination, learned: Learned | None) -> None:
    """What is known of the questions that no document answers; one finding for all that is fine."""
    if learned is None or learned.version != VERSION:
        remedy = "`listbridge doctor --scratch-list` finds it out, in a list that it makes and deletes."
        exam.note(Finding("learned", "", Outcome.OK, "nothing yet: everything works either way", remedy))
        return
    for question, verdict in judged(learned.answers):
        if verdict.outcome is not Outcome.OK:
            exam.note(Finding("learned", question.name, verdict.outcome, verdict.found, verdict.remedy))
    known = sum(bool(each.value) for each in learned.answers.values())
    found = f"{known} of {len(ASKED)} questions answered, {rfc3339(learned.at)}"
    old = now_ms() - learned.at > OLD_MS
    remedy = "More than 180 days old: have it found out again with --scratch-list." if old else ""
    exam.note(Finding("learned", "", Outcome.WARNING if old else Outcome.OK, found, remedy))


def judged(answers: Mapping[str, Answer]) -> list[tuple[Question, Verdict]]:
    """Each question with what its answer means; an answer that is unknown is as good as any."""
    known = [(ASKED[name], each) for name, each in answers.items() if name in ASKED]
    return [(question, _judged(question, each)) for question, each in known]


def _judged(question: Question, answer: Answer) -> Verdict:
    if not answer.value or not question.fine or answer.value in question.fine:
        return fine(answer.words)
    judge = failed if question.needed else warning
    return judge(f"{question.asks} {answer.value} ({answer.detail})", question.otherwise)
