"""`python -m bench.exports`: the benchmark of exports; see `docs/benchmarks.md`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import click
import msgspec

from bench.aggregation import machine
from bench.exports import calls, cpu, report, speed

MODES: Final = ("calls", "speed", "cpu", "freshness", "backfill")


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    calls_people: int
    speed_people: int
    cpu_batches: int
    freshness_seconds: float
    backfill_people: int


FULL: Final = Sizes(10_000, 40_000, 40, 60.0, 1_000_000)
QUICK: Final = Sizes(4_000, 8_000, 10, 5.0, 20_000)


@dataclass
class Findings:
    """Everything that a run of the benchmark found, by mode."""

    sizes: Sizes
    found: dict[str, list[Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        rows = [{"mode": mode, **asdict(row)} for mode, found in self.found.items() for row in found]
        return {"rows": rows, "sizes": asdict(self.sizes), "machine": machine.machine()}


def _modes(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    found = [name.strip() for name in value.split(",") if name.strip()]
    if wrong := [name for name in found if name not in MODES]:
        raise click.BadParameter(f"{', '.join(wrong)}; it should be some of {', '.join(MODES)}")
    return found


@click.command()
@click.option("--modes", callback=_modes, default=",".join(MODES), help="Modes, by commas.")
@click.option("--people", type=click.IntRange(1000), help="People of the backfill; 1,000,000 by default.")
@click.option("--quick", is_flag=True, help="Smaller everywhere: under a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last on standard output.")
def main(modes: list[str], people: int | None, quick: bool, as_json: bool) -> None:
    """Measure our exports, beside the official client, against the simulator on loopback."""
    sizes = QUICK if quick else FULL
    findings = Findings(sizes)
    for mode in MODES:
        if mode in modes:
            findings.found[mode] = _run(mode, sizes, people or sizes.backfill_people)
    report.show(findings.found, sys.stderr if as_json else sys.stdout)
    if as_json:
        sys.stdout.write(msgspec.json.encode(findings.as_json()).decode() + "\n")


def _run(mode: str, sizes: Sizes, people: int) -> list[Any]:
    match mode:
        case "calls":
            return [*calls.run(sizes.calls_people, say=_say)]
        case "speed":
            return [*speed.run(sizes.speed_people, say=_say)]
        case "cpu":
            return [*cpu.run(sizes.cpu_batches, say=_say)]
        case "freshness":
            from bench.exports import freshness

            return [freshness.run(sizes.freshness_seconds, say=_say)]
        case _:
            from bench.exports import backfill

            return [backfill.run(people, say=_say)]


def _say(text: str) -> None:
    click.echo(f"{time.perf_counter() - _START:6.1f} s  {text}", err=True)


_START: Final = time.perf_counter()

if __name__ == "__main__":
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    main()
