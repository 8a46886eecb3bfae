"""The queries of the documentation, as they stand there."""

import re
from pathlib import Path

import pytest
from archive_helpers import DAY, NOVEMBER, activity

from listbridge.archive.passes import run_pass
from listbridge.archive.reading import Archive
from listbridge.archive.storage import LocalStorage
from listbridge.streams.events import Event
from listbridge.streams.log import append
from listbridge.streams.schemas import AUDIENCE

PAGE = Path(__file__).parents[3] / "docs" / "archive.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
ANN, BEA = "ann@example.com", "bea@example.com"


def told():
    """Two campaigns and an audience; what a query must leave out is there as well."""
    for number, (key, event, campaign) in enumerate(
        [
            (ANN, "sent", "News"),
            (ANN, "open", "News"),
            (ANN, "click", "News"),
            (BEA, "open", "News"),
            (BEA, "open", "Sale"),
        ]
    ):
        yield activity(key, number, NOVEMBER + number, event, campaign_name=campaign)
    yield activity(BEA, 9, NOVEMBER - 1, "open", campaign_name="News")
    for number, (key, event) in enumerate([(ANN, "enter"), (BEA, "enter"), (ANN, "exit")]):
        at = NOVEMBER + number // 2 * DAY
        yield Event(AUDIENCE, key, at, (number,), {"email": key, "audience": "vip", "event": event})


@pytest.fixture
def queried(small, tmp_path, monkeypatch):
    """Runs a query of the page in a directory with an archive; -> its rows."""
    append(small, told())
    run_pass(Archive(small, LocalStorage(tmp_path / "listbridge-data" / "archive")), ())
    (tmp_path / "listbridge-data/archive/cm_activity/stray.parquet").write_bytes(b"half-written")
    monkeypatch.chdir(tmp_path)

    def run(number):
        names = {}
        exec(BLOCKS[number], names)
        return names["result"].rows()

    return run


def test_opens_and_clicks_by_campaign(queried):
    assert queried(0) == [("News", 2, 1, 2), ("Sale", 1, 0, 1)]


def test_everything_that_a_person_did(queried):
    assert [row[1:] for row in queried(1)] == [
        ("click", "News", None),
        ("open", "News", None),
        ("sent", "News", None),
    ]


def test_who_entered_and_left_by_day(queried):
    assert [(name, str(day), *counts) for name, day, *counts in queried(2)] == [
        ("vip", "2026-11-01", 2, 0),
        ("vip", "2026-11-02", 0, 1),
    ]


def test_every_query_of_the_page_is_here():
    assert len(BLOCKS) == 3
