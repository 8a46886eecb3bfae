"""`python -m bench.receiver`: the benchmark of what takes events over HTTP; see `docs/benchmarks.md`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Any, Final

import click
import msgspec

from bench.aggregation.machine import machine
from bench.receiver import load, rates, report

MODES: Final = ("rates", "alone", "soak")


def _modes(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    found = [name.strip() for name in value.split(",") if name.strip()]
    if wrong := [name for name in found if name not in MODES]:
        raise click.BadParameter(f"{', '.join(wrong)}; it should be some of {', '.join(MODES)}")
    return found


def _numbers(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}; it should be whole numbers by commas") from error


@click.command()
@click.option("--modes", callback=_modes, default="rates,alone", show_default=True, help="Modes, by commas.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Of `rates`.")
@click.option("--workers", callback=_numbers, default="1,2", show_default=True, help="Of `rates`.")
@click.option("--minutes", type=click.FloatRange(0.5), default=60.0, show_default=True, help="Of `soak`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last on standard output.")
def main(modes: list[str], runs: int, workers: tuple[int, ...], minutes: float, as_json: bool) -> None:
    """Measure the webhook receiver and the door of audience events on loopback."""
    found: dict[str, Any] = {}
    out = sys.stderr if as_json else sys.stdout
    if "rates" in modes:
        try:
            load.require()
        except load.NoGenerator as error:
            raise click.ClickException(str(error)) from error
        found["rates"] = rates.run(runs, 2, workers=workers, say=_say)
        report.rates(found["rates"], out)
    if "alone" in modes:
        from bench.receiver import alone

        found["alone"] = alone.run(say=_say)
        report.alone(found["alone"], out)
    if "soak" in modes:
        from bench.receiver import soak

        found["soak"] = soak.run(minutes, say=_say)
        report.soak(found["soak"], out)
    if as_json:
        rows = {mode: [asdict(row) for row in rows] for mode, rows in found.items()}
        sys.stdout.write(msgspec.json.encode({**rows, "machine": machine()}).decode() + "\n")


def _say(text: str) -> None:
    click.echo(f"{time.perf_counter() - _START:6.1f} s  {text}", err=True)


_START: Final = time.perf_counter()

if __name__ == "__main__":
    main()
