"""`python -m bench.aggregation`: the aggregation benchmark; see `docs/benchmarks.md`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import click
import msgspec

from bench.aggregation import (
    engines,
    growth,
    jobs,
    latency,
    machine,
    peers,
    rebuilding,
    report,
    through_store,
)
from bench.aggregation.workload import Workload

MODES: Final = (*peers.MODES, "store", "rebuild", "latency", "growth")
RATE: Final = 200.0


@dataclass
class Findings:
    """Everything that a run of the benchmark found."""

    workload: Workload
    runs: int
    rows: list[peers.Row] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    store: through_store.StoreFindings | None = None
    rebuild: rebuilding.RebuildFound | None = None
    latency: latency.Latency | None = None
    growth: list[growth.Growth] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain data; `rows` holds the engines and our folds through the store alike."""
        rows = [asdict(row) for row in self.rows]
        if self.store:
            rows += [report.fold_row(fold) for fold in self.store.folds]
        return {
            "rows": rows,
            "equal_outputs": len(self.digests) == 1 if self.digests else None,
            "workload": asdict(self.workload),
            "runs": self.runs,
            "store": report.store_findings(self.store),
            "rebuild": asdict(self.rebuild) if self.rebuild else None,
            "latency": asdict(self.latency) if self.latency else None,
            "growth": [asdict(each) for each in self.growth],
            "machine": machine.machine(),
        }


def _names(known: tuple[str, ...]) -> Any:
    def parse(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
        found = [name.strip() for name in value.split(",") if name.strip()]
        if wrong := [name for name in found if name not in known]:
            raise click.BadParameter(f"{', '.join(wrong)}; it should be some of {', '.join(known)}")
        return found

    return parse


def _sizes(_context: click.Context, _parameter: click.Parameter, value: str) -> list[int]:
    try:
        found = sorted(int(size) for size in value.split(","))
    except ValueError:
        found = []
    if not found or found[0] < 1000:
        raise click.BadParameter(f"{value!r}; it should be numbers of events from 1000, by commas")
    return found


@click.command()
@click.option("--events", type=click.IntRange(1000), help="Events of the workload; 1,000,000 by default.")
@click.option("--people", type=click.IntRange(10), help="People; a twentieth of the events by default.")
@click.option("--runs", type=click.IntRange(1), help="Runs of which the median counts; 3 by default.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the workload.")
@click.option(
    "--only", callback=_names(engines.NAMES), default=",".join(engines.NAMES), help="Engines, by commas."
)
@click.option("--modes", callback=_names(MODES), default=",".join(MODES), help="Modes, by commas.")
@click.option(
    "--sizes",
    callback=_sizes,
    default="1000000,3000000,10000000",
    help="Events of the mode growth, by commas.",
)
@click.option("--unsorted", is_flag=True, help="Columns in the order in which the events came in.")
@click.option("--quick", is_flag=True, help="100,000 events, one run, no growth: under a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last on standard output.")
def main(
    events: int | None,
    people: int | None,
    runs: int | None,
    seed: int,
    only: list[str],
    modes: list[str],
    sizes: list[int],
    unsorted: bool,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure our aggregation beside its peers, on the same events, and compare the outputs."""
    size = events or (100_000 if quick else 1_000_000)
    workload = Workload(size, people or max(10, size // growth.EVENTS_A_PERSON), seed)
    findings = Findings(workload, runs or (1 if quick else 3))
    arguments = {"events": size, "people": workload.people, "seed": seed, "lines": "json" in modes}
    jobs.run("workload", arguments)
    compared = [mode for mode in peers.MODES if mode in modes]
    if compared:
        findings.rows, findings.digests = peers.compare(
            workload, only, compared, findings.runs, unsorted=unsorted, say=_say
        )
    if "store" in modes or "latency" in modes:
        _through_store(findings, modes, quick=quick)
    if "rebuild" in modes:
        findings.rebuild = rebuilding.run(workload, findings.runs, say=_say)
    if "growth" in modes and not quick:
        findings.growth = growth.run(sizes, seed, say=_say)
    report.show(findings, sys.stderr if as_json else sys.stdout)
    if as_json:
        sys.stdout.write(msgspec.json.encode(findings.as_json()).decode() + "\n")
    if len(findings.digests) > 1:
        sys.exit(f"the outputs differ: {', '.join(sorted(findings.digests))}")


def _through_store(findings: Findings, modes: list[str], *, quick: bool) -> None:
    with through_store.server() as url:
        workers, runs = ([1, 2], findings.runs) if "store" in modes else ([1], 1)
        found = through_store.run(url, findings.workload, workers, runs, say=_say)
        if "store" in modes:
            findings.store = found
            findings.digests |= found.digests
        if "latency" in modes:
            seconds = 5.0 if quick else 20.0
            findings.latency = latency.run(url, findings.workload, rate=RATE, seconds=seconds, say=_say)


def _say(text: str) -> None:
    click.echo(f"{time.perf_counter() - _START:6.1f} s  {text}", err=True)


_START: Final = time.perf_counter()

if __name__ == "__main__":
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    main()
