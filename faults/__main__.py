"""`python -m faults`: the fault suite; see `docs/reliability.md`."""

from __future__ import annotations

import json
import sys
import time

import click

from faults import account, broker, lines, poison, processes, report, running, stores, versions
from faults import soak as soaking
from faults.catalogue import FAULTS

MODULES = (processes, versions, account, broker, lines, stores, poison)
"""Each enters its faults into the catalogue when it is imported."""


def _chosen(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    wanted = [name.strip() for name in value.split(",") if name.strip()]
    if wrong := [name for name in wanted if not any(each.startswith(name) for each in FAULTS)]:
        raise click.BadParameter(f"{', '.join(wrong)}; known faults: {', '.join(FAULTS)}")
    return [each for each in FAULTS if not wanted or any(each.startswith(name) for name in wanted)]


@click.command()
@click.option("--only", callback=_chosen, default="", help="Names, or how they begin, by commas.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--runs", type=click.IntRange(1, 1000), default=1, show_default=True, help="Of each fault.")
@click.option("--seconds", type=float, default=600.0, show_default=True, help="For all of it.")
@click.option("--at-once", type=click.IntRange(1, 16), default=2, show_default=True, help="Installations.")
@click.option("--soak", type=float, default=0.0, help="For so many minutes on one installation, by lot.")
@click.option("--keep", "keep_in", default="", help="Folder for the records of all who differ, excused too.")
@click.option("--load-seconds", type=float, default=running.LOAD_SECONDS, show_default=True)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print every round as JSON, last on standard output.")
@click.option("--list", "only_names", is_flag=True, help="Print the faults and end.")
def main(
    only: list[str],
    seed: int,
    runs: int,
    seconds: float,
    at_once: int,
    soak: float,
    keep_in: str,
    load_seconds: float,
    as_markdown: bool,
    as_json: bool,
    only_names: bool,
) -> None:
    """Break a running installation in every way known, and see whether anything was lost."""
    if only_names:
        for each in FAULTS.values():
            click.echo(f"{each.name:16} {each.what}")
        return
    began, rounds = time.monotonic(), []

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f}  {line}", err=True)

    terms = running.Terms(began + seconds, say, load_seconds, keep_in)
    memory = soaking.Memory()
    if soak:
        found = soaking.soak(soak, terms, seed=seed, memory=memory)
    else:
        found = running.run([FAULTS[name] for name in only], terms, seed=seed, runs=runs, at_once=at_once)
    for done in found:
        rounds.append(done)
        outcome = done.skipped or "; ".join(done.problems)[:600] or "as it should be"
        parts = ", ".join(f"{name} {taken:.1f}" for name, taken in done.parts.items())
        say(f"{done.fault} (seed {done.seed}; {done.seconds:.1f} s: {parts}): {outcome}")
    report.show(rounds, sys.stderr)
    for line in memory.lines():
        click.echo(line, err=True)
    if as_markdown:
        click.echo(report.markdown(rounds))
    if as_json:
        click.echo(json.dumps(report.as_json(rounds)))
    if running.failed(rounds):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
