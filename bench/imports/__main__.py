"""`python -m bench.imports`: the benchmark of imports; see `docs/benchmarks.md`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bench.aggregation import machine
from bench.exports import report
from bench.imports import decode, exact, memory, speed
from bench.imports.accounts import Plan
from simulator import timezones

TITLES: Final = {
    "speed": "Rows a second and calls, no delay",
    "delayed": "200 ms more a call",
    "exact": "Rows lost and doubled",
    "zones": "Time zones",
    "decode": "A page of 1,000 rows, ms",
    "memory": "Memory",
}
PACIFIC: Final = "(GMT-08:00) Pacific Time (US & Canada)"


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    plan: Plan
    runs: int
    delayed: Plan
    in_flight: tuple[int, ...]
    memory_rows: int


FULL: Final = Sizes(Plan(campaigns=5), 2, Plan(campaigns=10), (4, 8, 16), 5_000_000)
QUICK: Final = Sizes(
    Plan(people=2_000, campaigns=3, recipients=2_000, opens=2_500, clicks=1_200),
    1,
    Plan(people=2_000, campaigns=6, recipients=2_000, opens=2_500, clicks=1_200),
    (4,),
    250_000,
)
SHIFTING: Final = Plan(
    people=3_000, campaigns=3, recipients=3_000, opens=6_000, clicks=4_000, shifts=3, zones=(PACIFIC,)
)


@dataclass
class Findings:
    """Everything that a run of the benchmark found, by mode."""

    found: dict[str, list[Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        rows = [{"mode": mode, **asdict(row)} for mode, found in self.found.items() for row in found]
        return {"rows": rows, "machine": machine.machine()}


def _modes(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    found = [name.strip() for name in value.split(",") if name.strip()]
    if wrong := [name for name in found if name not in TITLES]:
        raise click.BadParameter(f"{', '.join(wrong)}; it should be some of {', '.join(TITLES)}")
    return found


@click.command()
@click.option("--modes", callback=_modes, default=",".join(TITLES), help="Modes, by commas.")
@click.option("--rows", type=click.IntRange(250_000), help="Rows of the memory mode; 5,000,000 by default.")
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON array of time zone labels, as GET /timezones answers; the simulator's own by default.",
)
@click.option("--quick", is_flag=True, help="Smaller everywhere: about a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last on standard output.")
def main(modes: list[str], rows: int | None, labels: Path | None, quick: bool, as_json: bool) -> None:
    """Measure our imports, beside the Singer tap and the official client, on loopback."""
    sizes, findings = QUICK if quick else FULL, Findings()
    chosen = msgspec.json.decode(labels.read_bytes()) if labels else list(timezones.IANA)
    for mode in TITLES:
        if mode in modes:
            findings.found[mode] = _run(mode, sizes, rows or sizes.memory_rows, chosen)
    report.show(findings.found, sys.stderr if as_json else sys.stdout, TITLES)
    if as_json:
        sys.stdout.write(msgspec.json.encode(findings.as_json()).decode() + "\n")


def _run(mode: str, sizes: Sizes, rows: int, labels: list[str]) -> list[Any]:
    match mode:
        case "speed":
            return [*speed.run(sizes.plan, sizes.runs, say=_say)]
        case "delayed":
            return [*speed.delayed(sizes.delayed, 0.2, sizes.in_flight, say=_say)]
        case "exact":
            return [*exact.run(SHIFTING, say=_say)]
        case "zones":
            return [*exact.zones(labels, say=_say)]
        case "decode":
            return [*decode.run(say=_say)]
        case _:
            return [memory.run(rows, say=_say)]


def _say(text: str) -> None:
    click.echo(f"{time.perf_counter() - _START:6.1f} s  {text}", err=True)


_START: Final = time.perf_counter()

if __name__ == "__main__":
    main()
