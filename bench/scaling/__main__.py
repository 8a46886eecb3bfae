"""`python -m bench.scaling`: what `docs/scaling.md` reckons with."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from typing import Any, Final

import click
import msgspec

from bench.aggregation.machine import machine
from bench.scaling import beside, memory, partitions

MODES: Final = ("memory", "partitions", "cluster")


def _modes(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    found = [name.strip() for name in value.split(",") if name.strip()]
    if wrong := [name for name in found if name not in MODES]:
        raise click.BadParameter(f"{', '.join(wrong)}; it should be some of {', '.join(MODES)}")
    return found


@click.command()
@click.option("--modes", callback=_modes, default=",".join(MODES), show_default=True)
@click.option("--people", type=click.IntRange(100), default=100_000, show_default=True, help="Of `memory`.")
@click.option("--steps", type=click.IntRange(1, 3), default=3, show_default=True, help="Of `memory`.")
@click.option("--events", type=click.IntRange(1000), default=300_000, show_default=True, help="Of `cluster`.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Of `cluster`.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(modes: list[str], people: int, steps: int, events: int, runs: int, seed: int) -> None:
    """Measure memory by person and event, and a cluster beside one server; one JSON object is printed."""
    found: dict[str, Any] = {"machine": machine()}
    if "memory" in modes:
        found["memory"] = [asdict(each) for each in memory.run(people, steps, say=_say)]
    if "partitions" in modes:
        found["partitions"] = [asdict(each) for each in partitions.run(say=_say)]
    if "cluster" in modes:
        found["cluster"] = [asdict(each) for each in beside.run(events, runs, seed, say=_say)]
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


def _say(text: str) -> None:
    click.echo(f"{time.perf_counter() - _START:6.1f} s  {text}", err=True)


_START: Final = time.perf_counter()

if __name__ == "__main__":
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    main()
