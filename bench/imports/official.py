"""The official client, `createsend`, in a plain loop: what somebody writes with it who has no Listbridge.

It reads every page of every report and state and keeps the rows in memory; nothing is stored, nothing is
known by the next run. It speaks TLS only, so its connection is replaced by a plain one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any, Final

from bench.aggregation import jobs
from bench.aggregation.measuring import cpu_seconds

warnings.simplefilter("ignore", ResourceWarning)
REPORTS: Final = ("recipients", "opens", "clicks", "bounces", "unsubscribes", "spam")
STATES: Final = ("active", "unconfirmed", "unsubscribed", "bounced", "deleted")
SINCE: Final = "1900-01-01"


def prepared(api_url: str, api_key: str, client_id: str) -> jobs.Prepared:
    """Read everything of a client once; -> `wall_s`, `cpu_s`, `rows`."""
    import createsend
    import createsend.createsend as module

    module.VerifiedHTTPSConnection = HTTPConnection
    createsend.CreateSend.base_uri = api_url
    auth = {"api_key": api_key}

    def work() -> jobs.Answer:
        start, cpu = time.perf_counter(), cpu_seconds()
        rows = sum(len(page) for page in _pages(createsend, auth, client_id))
        return {"wall_s": time.perf_counter() - start, "cpu_s": cpu_seconds() - cpu, "rows": rows}

    return work


def _pages(createsend: Any, auth: dict[str, str], client_id: str) -> Iterator[list[Any]]:
    client = createsend.Client(auth, client_id)
    for each in client.lists():
        target = createsend.List(auth, each.ListID)
        for state in STATES:
            read = getattr(target, state)
            yield from _paged(lambda number, read=read: read(SINCE, number, 1000, "date"))
    for sent in _paged(lambda number: client.campaigns(page=number, page_size=1000)):
        for each in sent:
            campaign = createsend.Campaign(auth, each.CampaignID)
            for report in REPORTS:
                read = getattr(campaign, report)
                if report == "recipients":
                    yield from _paged(lambda number, read=read: read(number, 1000, "email"))
                else:
                    yield from _paged(lambda number, read=read: read(SINCE, number, 1000, "date"))


def _paged(read: Callable[[int], Any]) -> Iterator[list[Any]]:
    number = 1
    while True:
        page = read(number)
        yield page.Results
        if number >= page.NumberOfPages:
            return
        number += 1
