import tempfile

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bench.aggregation import engines
from bench.aggregation.canonical import canonical, digest
from bench.aggregation.workload import SHARES, Workload, events, generate, prepare
from listbridge.aggregation.frames import columns, from_lines
from listbridge.streams.events import Event, encode
from listbridge.streams.schemas import CM_ACTIVITY

PEERS = ("listbridge", "polars", "python", "msgspec")
"""Those that need no package of their own."""
HOUR = 3_600_000


@pytest.fixture(scope="module")
def workload(tmp_path_factory):
    small = Workload(events=2_000, people=100, seed=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("bench")))
        prepare(small)
        yield small


def outputs(engine, mode, path):
    loaded = engines.load(engine)
    return {key: canonical(fields) for key, fields in loaded.people(loaded.RUNS[mode](path))}


@pytest.fixture(scope="module")
def expected(workload):
    return outputs("listbridge", "columns", workload.sorted_columns)


@pytest.mark.parametrize("engine", PEERS)
def test_every_peer_makes_the_same_of_columns_sorted_or_not_and_of_json(engine, workload, expected):
    assert len(expected) > 90
    assert outputs(engine, "columns", workload.sorted_columns) == expected
    assert outputs(engine, "columns", workload.columns) == expected
    assert outputs(engine, "json", workload.lines) == expected


def test_every_field_of_the_shipped_mapping_is_set_for_somebody(expected):
    set_for_somebody = {name for fields in expected.values() for name in fields}
    assert set_for_somebody == set(engines.load("listbridge").program().fields)


CASES = [
    # What is latest of equals in time: the later received, and of those the greatest value.
    ("tie@a.com", 5 * HOUR, 10, {"event": "open", "city": "Amsterdam", "region": "N", "cc": "NL"}),
    ("tie@a.com", 5 * HOUR, 10, {"event": "open", "city": "Zürich", "cc": "CH"}),
    ("late@a.com", 5 * HOUR, 20, {"event": "open", "city": "Amsterdam"}),
    ("late@a.com", 5 * HOUR, 10, {"event": "open", "city": "Zürich"}),
    ("late@a.com", 4 * HOUR, 90, {"event": "open", "city": "Zagreb"}),
    # Missing values: nobody's city, no word, a click without a URL.
    ("bare@a.com", HOUR, 10, {}),
    ("bare@a.com", HOUR, 10, {"event": "click"}),
    ("bare@a.com", 2 * HOUR, 10, {"event": "update", "origin": "self", "city": "Oslo"}),
    # Our own write makes nobody active.
    ("self@a.com", HOUR, 10, {"event": "subscribe", "origin": "self"}),
    ("other@a.com", HOUR, 10, {"event": "subscribe", "origin": "theirs"}),
    # Only an unsubscribe is one.
    ("gone@a.com", HOUR, 10, {"event": "deactivate", "status": "unsubscribe"}),
    ("gone@a.com", 3 * HOUR, 10, {"event": "deactivate", "status": "bounce"}),
    # Pages that are one page, what has no page, and a URL on a word that counts no pages.
    ("page@a.com", HOUR, 10, {"event": "click", "url": "https://a.com/x%20y?q=1#top"}),
    ("page@a.com", HOUR, 10, {"event": "click", "url": "http://u:p@a.com/x y"}),
    ("page@a.com", HOUR, 10, {"event": "click", "url": "mailto:a@a.com"}),
    ("page@a.com", HOUR, 10, {"event": "open", "url": "https://A.com"}),
    ("page@a.com", HOUR, 10, {"event": "sent", "url": "https://a.com/sent"}),
    # The address is not the key.
    ("odd@a.com", HOUR, 10, {"event": "sent", "email": "Odd@A.com"}),
]


@pytest.mark.parametrize("engine", PEERS)
def test_every_peer_reads_ties_missing_values_origins_and_urls_alike(engine, tmp_path):
    made = [
        (received, Event(CM_ACTIVITY, key, at, (number,), {"email": key} | values))
        for number, (key, at, received, values) in enumerate(CASES)
    ]
    lines = [encode(event, received) for received, event in made]
    (tmp_path / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    from_lines(CM_ACTIVITY, lines).select(*columns(CM_ACTIVITY)).write_parquet(tmp_path / "events.parquet")
    for mode, name in (("columns", "events.parquet"), ("json", "events.jsonl")):
        found = outputs(engine, mode, tmp_path / name)
        assert found == outputs("listbridge", "columns", tmp_path / "events.parquet")
        assert found["tie@a.com"]["city"] == "Zürich"
        assert found["tie@a.com"]["region"] == "N"
        assert found["late@a.com"]["city"] == "Amsterdam"
        assert "channels" not in found["self@a.com"]
        assert found["other@a.com"]["channels"] == ["email"]
        assert found["gone@a.com"]["cm_unsub_ts"] == HOUR
        assert sorted(found["page@a.com"]["hashedurls"].values()) == [1, 2]
        assert len(found["page@a.com"]["cm_email_urls"]) == 5
        assert found["odd@a.com"]["email"] == "odd@a.com"


def test_the_workload_is_the_same_for_the_same_seed_only():
    first = generate(Workload(1_000, 50, seed=1))
    assert_frame_equal(first, generate(Workload(1_000, 50, seed=1)))
    assert not first.equals(generate(Workload(1_000, 50, seed=2)))


def test_the_workload_has_the_shares_that_it_says():
    counts = dict(generate(Workload(10_000, 500))["event"].value_counts().iter_rows())
    assert counts == {word: round(share * 10_000) for word, share in SHARES.items()}


def test_no_two_events_of_the_workload_are_one(workload):
    ids = [msgspec.json.decode(line)["_id"] for line in workload.lines.read_bytes().splitlines()]
    assert len(set(ids)) == workload.events


def test_the_two_forms_of_the_workload_hold_the_same_events(workload):
    lines = workload.lines.read_bytes().splitlines()
    frame = pl.read_parquet(workload.columns)
    assert_frame_equal(from_lines(CM_ACTIVITY, lines).select(frame.columns), frame)
    assert_frame_equal(frame, pl.read_parquet(workload.sorted_columns), check_row_order=False)
    assert sum(1 for _ in events(frame)) == frame.height


def test_a_digest_depends_on_what_people_have_and_not_on_their_order():
    ann, bob = ("ann", {"city": "Oslo"}), ("bob", {"city": "Bern"})
    assert digest([ann, bob]) == digest([bob, ann])
    assert digest([ann, bob]) != digest([ann, ("bob", {"city": "Rome"})])
    assert canonical({"a": None, "b": 0, "c": {"z", "y"}, "cm_lastopen_ts": 0}) == {"c": ["y", "z"]}
