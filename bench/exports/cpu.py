"""The mode `cpu`: what a batch of 1,000 rows costs this side, as CPU time of the process.

`API client`: rows as the engine plans them -> the client's rows -> JSON -> HTTP -> the answer -> an
outcome for each. `delivery`: the whole job, with the decision about each person and the ledger. The
official client is given its rows as dictionaries, made outside the clock.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from bench.aggregation import jobs
from bench.aggregation.measuring import cpu_seconds
from bench.exports import official
from bench.exports.calls import OURS, official_arguments
from bench.exports.people import AUDIENCES, CONSENT, address, audience, name, official_row
from bench.exports.world import world
from listbridge.exports.protocol import Flags, Prepared, Row

BATCH: Final = 1000
WARM_UP: Final = 2


@dataclass(frozen=True)
class Cpu:
    """Milliseconds of CPU time for each 1,000 rows, the median of `batches` where each was timed."""

    engine: str
    part: str
    batches: int
    ms_per_batch: float


def run(batches: int, *, say: Callable[[str], None]) -> list[Cpu]:
    with world() as here:
        people = batches * BATCH
        here.export()
        here.enter(range(people), ago=timedelta(days=1))
        first = here.deliver()
        here.enter(range(people), 1, ago=timedelta(hours=1))
        second = here.deliver()
        arguments = official_arguments(here) | {"batches": batches}
        found = [
            Cpu(OURS, "API client, import", batches, here.job("api", arguments)["ms"]),
            Cpu(OURS, "delivery, new people", batches, 1000 * first["cpu_s"] / batches),
            Cpu(OURS, "delivery, changed people", batches, 1000 * second["cpu_s"] / batches),
        ]
        theirs = here.job("official", arguments)
        found.append(Cpu("createsend", "import", batches, theirs["import_ms"]))
        found.append(Cpu("createsend", "page of people read", batches, theirs["page_ms"]))
        single = here.job("one by one", official_arguments(here) | {"people": 500})
        found.append(Cpu("createsend", "1,000 added one by one", 0, 1000 * single["cpu_s"] * 2))
    for each in found:
        say(f"CPU, {each.engine}, {each.part}: {each.ms_per_batch:.1f} ms for 1,000 rows")
    return found


def _api(api_url: str, api_key: str, list_id: str, key: str, batches: int) -> jobs.Prepared:
    """Imports by the Destination that deliveries use."""
    from bench.exports.jobs import context
    from listbridge.campaign_monitor import ApiKey, CampaignMonitor
    from listbridge.campaign_monitor.destination import CampaignMonitorList
    from listbridge.campaign_monitor.suppression import SuppressionList

    client = CampaignMonitor(ApiKey(api_key), base_url=api_url)
    suppression = SuppressionList(context().store, client, "")
    destination = CampaignMonitorList(client, "", list_id, CONSENT, suppression, 10)
    prepared = Prepared(key, {})
    planned = [_rows(batch, key) for batch in range(batches + WARM_UP)]

    def work() -> jobs.Answer:
        ms = []
        for rows in planned:
            before = cpu_seconds()
            sent = destination.send(prepared, rows, Flags())
            ms.append(1000 * (cpu_seconds() - before))
            assert sent.added + sent.updated == len(sent.outcomes) == BATCH
        return {"ms": statistics.median(ms[WARM_UP:])}

    return work


def _rows(batch: int, key: str) -> list[Row]:
    found = []
    for number in range(batch * BATCH, (batch + 1) * BATCH):
        theirs = official_row(number, key)
        values = {each["Key"]: each["Value"] for each in theirs["CustomFields"] if each["Key"] != key}
        found.append(
            Row(
                address(number),
                address(number),
                name(number),
                (audience(number),),
                tuple(each for each in AUDIENCES if each != audience(number)),
                tuple(values.items()),
            )
        )
    return found


def _official(api_url: str, api_key: str, list_id: str, key: str, batches: int) -> jobs.Prepared:
    """Imports, and pages of a thousand people, by the official client."""
    import createsend

    subscriber = official.client(api_url, api_key)
    owner = createsend.List({"api_key": api_key}, list_id)

    def work() -> jobs.Answer:
        imports, pages = [], []
        for batch in range(batches + WARM_UP):
            rows = [official_row(number, key) for number in range(batch * BATCH, (batch + 1) * BATCH)]
            before = cpu_seconds()
            subscriber.import_subscribers(list_id, rows, False)
            imports.append(1000 * (cpu_seconds() - before))
        for _ in range(min(batches, 10)):
            before = cpu_seconds()
            assert len(owner.active(page_size=BATCH).Results) == BATCH
            pages.append(1000 * (cpu_seconds() - before))
            gc.collect()
        return {"import_ms": statistics.median(imports[WARM_UP:]), "page_ms": statistics.median(pages)}

    return work


JOBS: Final[dict[str, Callable[..., Any]]] = {"api": _api, "official": _official}
