"""`doctor`: is everything there that exports and imports need, and what does the account really do."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import click
import redis

from cli import choosing
from cli.output import json_option, say, show_json
from cli.runtime import EXPECTED, context, errors
from listbridge.authorizations import Authorization
from listbridge.campaign_monitor.readings import ASKED
from listbridge.context import Context
from listbridge.doctor.account import Account
from listbridge.doctor.examination import Wanted, examine, judged
from listbridge.doctor.findings import Examination, Finding, Outcome, Verdict, failed, fine
from listbridge.doctor.here import examine_here
from listbridge.doctor.hooks import reach
from listbridge.doctor.learning import Ground, find_out
from listbridge.doctor.scratch import Leftovers
from listbridge.learned import Answer
from settings import SettingsError, check_web_url

MARKS = {
    Outcome.OK: "ok     ",
    Outcome.WARNING: "warning",
    Outcome.FAILED: "FAILED ",
    Outcome.SKIPPED: "skipped",
}


def _public_url(_context: click.Context, _option: click.Parameter, value: str | None) -> str:
    try:
        if value:
            check_web_url(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no address such as https://sync.example.org") from None
    return (value or "").rstrip("/")


@click.command()
@click.argument("authorization", required=False)
@click.option(
    "--list", "list_", metavar="NAME", help="Look at this list (id or name) instead of the exports'."
)
@click.option("--client", metavar="NAME", help="Look at this client (id or name) instead of the workflows'.")
@click.option("--public-url", callback=_public_url, help="In the place of LISTBRIDGE_PUBLIC_URL.")
@click.option("--scratch-list", is_flag=True, help="Find out what no document says, in a list made for it.")
@click.option("--domain", default="example.com", show_default=True, help="Of the people in the scratch list.")
@click.option("--suppress", is_flag=True, help="Try suppression too; it is lifted again.")
@click.option("--yes", is_flag=True, help="Remove what killed runs left over, without asking.")
@json_option
def doctor(
    authorization: str | None,
    list_: str | None,
    client: str | None,
    public_url: str,
    scratch_list: bool,
    domain: str,
    suppress: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Check step by step what an authorization's exports and imports need.

    Nothing is changed; webhooks are tested, and their samples kept out of the streams. With --scratch-list, a
    list is made in which some twenty people are imported, updated and unsubscribed; it is deleted in the end,
    and nobody is mailed. What was found out is kept: `listbridge authorization show`.
    """
    if suppress and not scratch_list:
        raise click.UsageError("--suppress goes with --scratch-list")
    tell = (lambda _: None) if as_json else _tell
    with ExitStack() as stack:
        try:
            ctx = stack.enter_context(context())
        except (*EXPECTED, redis.RedisError) as problem:
            _end(_without_store(problem, tell), {}, as_json=as_json)
        chosen = _chosen(ctx, authorization, tell)
        if isinstance(chosen, Examination):
            _end(chosen, {}, as_json=as_json)
        exam, account = examine(ctx, chosen, Wanted(client, list_, public_url, learns=scratch_list), tell)
        answers: dict[str, Answer] = {}
        if scratch_list:
            answers = _learn(
                ctx, chosen, exam, account, domain, public_url, suppress=suppress, yes=yes, as_json=as_json
            )
        _end(exam, answers, as_json=as_json)


def _without_store(problem: Exception, tell: Any) -> Examination:
    exam = Examination(tell)
    what = "settings" if isinstance(problem, SettingsError) else "store"
    remedy = (
        "Correct the setting."
        if what == "settings"
        else "Start it (`listbridge up`), or correct its address."
    )
    first = exam.step(what, "", lambda: failed(str(problem) or type(problem).__name__, remedy))
    for rest in ("credential", "clock", "lists", "webhooks"):
        exam.step(rest, "", lambda: fine(""), needs=[first])
    return exam


def _chosen(ctx: Context, wanted: str | None, tell: Any) -> Authorization | Examination:
    """The authorization, or the examination that ends without one."""
    try:
        return choosing.authorization(ctx, wanted)
    except choosing.NotFound as problem:
        exam, found = Examination(tell), str(problem)
        examine_here(exam, ctx)
        exam.step("authorization", wanted or "", lambda: failed(found, "`listbridge authorization list`"))
        return exam


def _learn(
    ctx: Context,
    authorization: Authorization,
    exam: Examination,
    account: Account,
    domain: str,
    public_url: str,
    *,
    suppress: bool,
    yes: bool,
    as_json: bool,
) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    troubles: list[str] = []
    public_url = public_url or ctx.settings.public_url

    def reach_us(list_id: str) -> None:
        if public_url:
            exam.step("reachable", public_url, lambda: reach(account.api, list_id, public_url))

    def warn(line: str) -> None:
        troubles.append(line)
        errors.print(line)

    def may_remove(found: Leftovers) -> bool:
        if yes or as_json or not sys.stdin.isatty():
            return yes
        return click.confirm(f"A run that was killed left {found.in_words()}. Remove it?", err=True)

    def tell(question: str, answer: Answer) -> None:
        if not as_json:
            say(f"learned  {question}: {answer.words}   ({ASKED[question].asks})")

    def run() -> Verdict:
        [client] = account.lists
        ground = Ground(client, domain, suppress)
        answers.update(
            find_out(
                ctx,
                authorization,
                account.api,
                ground,
                say=warn,
                may_remove=may_remove,
                on_answer=tell,
                in_list=reach_us,
            )
        )
        if troubles:
            return failed("; ".join(troubles), "Remove it as said.")
        known = sum(bool(each.value) for each in answers.values())
        return fine(f"{known} of {len(answers)} questions answered; the list is deleted again")

    shown = [each for each in exam.findings if each.check == "lists"]
    if len(account.lists) == 1 or any(not each.passed for each in shown):
        exam.step("scratch list", "", run, needs=shown)
    else:
        say_which = failed(f"{len(account.lists)} clients were looked at", "Say in which with --client.")
        exam.step("scratch list", "", lambda: say_which)
    for question, verdict in judged(answers):
        if verdict.outcome is not Outcome.OK:
            exam.note(Finding("learned", question.name, verdict.outcome, verdict.found, verdict.remedy))
    return answers


def _tell(finding: Finding) -> None:
    subject = f" ({finding.subject})" if finding.subject else ""
    say(f"{MARKS[finding.outcome]}  {finding.check}{subject}: {finding.found}")
    if finding.remedy:
        say(f"         -> {finding.remedy}")


def _end(exam: Examination, answers: dict[str, Answer], *, as_json: bool) -> None:
    if as_json:
        learned = {
            name: {"answer": each.value or None, "detail": each.detail} for name, each in answers.items()
        }
        rows = [each.as_row() for each in exam.findings]
        show_json({"healthy": exam.healthy, "findings": rows, "learned": learned})
    else:
        counts = [sum(each.outcome is one for each in exam.findings) for one in Outcome]
        say("\n" + ", ".join(f"{n} {one}" for n, one in zip(counts, Outcome, strict=True)))
    sys.exit(0 if exam.healthy else 1)
