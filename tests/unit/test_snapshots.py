from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from listbridge import audiences
from listbridge.aggregation.fold import Folder
from listbridge.audiences import AudienceEvent, members, now, receive
from listbridge.profiles.reading import profile_of
from listbridge.snapshots import SnapshotError, apply, await_folded, compare, read_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(tmp_path, text, name="vip.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("email,plan\nann@x.se,gold\n", "utf-8"),
        ("email,plan\nann@x.se,gold\n", "utf-8-sig"),
        ("email,plan\r\nann@x.se,gold\r\n\r\n", "utf-8"),
        ('"email","plan"\n"ann@x.se","gold"', "utf-8"),
        ("plan,email\ngold,ann@x.se\n", "utf-8"),
        (" E-Mail ,plan\nann@x.se,gold\n", "utf-8"),
        ("Email Address,plan\nann@x.se,gold\n", "utf-8"),
        ("EmailAddress,plan,\nann@x.se,gold,extra\n", "utf-8"),
    ],
)
def test_a_csv_file_is_read_however_it_is_written(tmp_path, text, encoding):
    [row] = read_rows(write(tmp_path, text, encoding=encoding))

    assert (row["email"], row["plan"]) == ("ann@x.se", "gold")


def test_a_csv_file_keeps_every_alphabet_and_line_end(tmp_path):
    rows = list(read_rows(write(tmp_path, 'email,city\na@x.se,Malmö\nb@x.se,"two\nlines"\n', "vip.CSV")))

    assert [row["city"] for row in rows] == ["Malmö", "two\nlines"]


def test_a_parquet_file_is_read(tmp_path):
    path = tmp_path / "vip.parquet"
    pl.DataFrame({"EMAIL": ["ann@x.se", None], "age": [5, 6]}).write_parquet(path)

    assert list(read_rows(path)) == [{"email": "ann@x.se", "age": 5}, {"email": None, "age": 6}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("vip.csv", "mail,plan\nann@x.se,gold\n", "vip.csv has no column email; it has: mail, plan"),
        ("vip.csv", "", "vip.csv has no column email; it has: none"),
        (
            "vip.csv",
            "email,E-mail\na@x.se,b@x.se\n",
            "vip.csv has several columns of addresses: email, E-mail",
        ),
        ("vip.csv", "email,plan\na@x.se,gold,more\n", "vip.csv, line 2: more values than columns"),
        ("vip.csv", 'email,plan\na@x.se,"gold\nb@x.se,free\n', "vip.csv can't be read: "),
        ("vip.xlsx", "x", "vip.xlsx is neither .csv nor .parquet"),
        ("vip", "x", "vip is neither .csv nor .parquet"),
        ("vip.parquet", "not parquet", "vip.parquet can't be read: "),
    ],
)
def test_a_file_that_is_no_snapshot_is_refused_with_the_reason(tmp_path, name, text, message):
    with pytest.raises(SnapshotError) as caught:
        list(read_rows(write(tmp_path, text, name)))

    assert str(caught.value).startswith(message)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SnapshotError, match=r"gone\.csv can't be read"):
        list(read_rows(tmp_path / "gone.csv"))


def test_a_file_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(SnapshotError, match=r"vip\.csv can't be read"):
        list(read_rows(write(tmp_path, "email,city\nann@x.se,Malmö\n", encoding="latin-1")))


def test_a_parquet_file_without_addresses_is_refused(tmp_path):
    path = tmp_path / "vip.parquet"
    pl.DataFrame({"name": ["Ann"]}).write_parquet(path)

    with pytest.raises(SnapshotError, match=r"vip\.parquet has no column email; it has: name"):
        list(read_rows(path))


def rows(*addresses, **attributes):
    return [{"email": address} | attributes for address in addresses]


@pytest.fixture
def take(context):
    """Compares, applies and folds a snapshot, a minute after the last; -> the difference."""
    folder = Folder(context.store, context.program)
    minutes = iter(range(1000))

    def run(snapshot, slug="vip"):
        difference = compare(context, slug, snapshot)
        apply(context, difference, NOON + timedelta(minutes=next(minutes)))
        folder.run()
        return difference

    return run


def test_a_snapshot_makes_the_audience_what_it_says(context, take):
    first = take(rows("Ann@x.se", "bob@x.se", "eve@x.se"))
    second = take(rows("ann@x.se", "kim@x.se"))

    assert (first.enters.keys(), first.exits) == ({"ann@x.se", "bob@x.se", "eve@x.se"}, ())
    assert (second.enters.keys(), second.exits) == ({"kim@x.se"}, ("bob@x.se", "eve@x.se"))
    assert members(context.store, "vip") == {"ann@x.se", "kim@x.se"}


def test_a_snapshot_that_says_what_is_known_changes_nothing(context, take):
    take(rows("ann@x.se", "bob@x.se", plan="gold"))

    again = take(rows("bob@x.se", "ANN@x.se", "ann@x.se", plan="gold"))

    assert (dict(again.enters), again.exits, dict(again.changed)) == ({}, (), {})


def test_a_snapshot_of_one_audience_leaves_the_others_alone(context, take):
    take(rows("ann@x.se", "bob@x.se"), "vip")
    take(rows("ann@x.se"), "new")

    assert members(context.store, "vip") == {"ann@x.se", "bob@x.se"}


@pytest.mark.parametrize(
    ("before", "after", "loss"),
    [(0, 0, 0.0), (0, 5, 0.0), (10, 10, 0.0), (10, 8, 0.2), (10, 7, 0.3), (10, 0, 1.0)],
)
def test_the_share_that_would_leave_is_told(take, context, before, after, loss):
    people = [f"p{n}@x.se" for n in range(10)]
    take(rows(*people[:before]))

    difference = compare(context, "vip", rows(*people[:after]))

    assert difference.members_before == before
    assert difference.loss == pytest.approx(loss)


def test_rows_without_a_readable_address_are_told_by_their_line(take):
    difference = take(rows("ann@x.se", "nobody", None, "", 5, "bob@x.se"))

    assert difference.unreadable == ("line 3", "line 4", "line 5", "line 6")
    assert difference.enters.keys() == {"ann@x.se", "bob@x.se"}


def test_changed_attributes_are_kept_and_do_not_change_membership(context, take):
    take(rows("ann@x.se", "bob@x.se", plan="gold", city="Lund"))
    entered = profile_of(context.store, context.programs, "ann@x.se")

    difference = take([*rows("ann@x.se", plan="free", city=""), *rows("bob@x.se", plan="gold")])

    assert (dict(difference.enters), difference.exits) == ({}, ())
    assert difference.changed == {"ann@x.se": {"plan": "free"}}
    profile = profile_of(context.store, context.programs, "ann@x.se")
    assert profile["fields"]["attributes"] == {"plan": "free", "city": "Lund"}
    assert profile["audiences"] == entered["audiences"] == ["vip"]


def test_somebody_outside_does_not_enter_by_a_change_of_attributes(context, take):
    take(rows("ann@x.se", plan="gold"))
    changed = compare(context, "vip", rows("ann@x.se", plan="free"))
    take([])
    apply(context, changed, NOON + timedelta(days=1))
    Folder(context.store, context.program).run()

    assert members(context.store, "vip") == set()
    assert profile_of(context.store, context.programs, "ann@x.se")["fields"]["attributes"] == {"plan": "free"}


def test_attributes_are_the_same_from_a_file_and_from_the_api(context, take, tmp_path):
    path = tmp_path / "vip.parquet"
    pl.DataFrame({"email": ["ann@x.se"], "old": [True], "age": [5], "score": [1.5]}).write_parquet(path)
    fields = {"old": True, "age": 5, "score": 1.5}
    told = audiences.AudienceEvent(
        email="ann@x.se", audience="vip", event="enter", timestamp=NOON, fields=fields
    )
    audiences.receive(context.store, [told])
    Folder(context.store, context.program).run()

    difference = compare(context, "vip", read_rows(path))

    assert (dict(difference.enters), dict(difference.changed)) == ({}, {})


def test_a_snapshot_that_is_applied_twice_counts_once(context):
    difference = compare(context, "vip", rows("ann@x.se", "bob@x.se"))

    first, second = apply(context, difference, NOON), apply(context, difference, NOON)

    assert (first.accepted, second.accepted, second.duplicates) == (2, 0, 2)


def test_a_large_snapshot_is_applied_in_batches(context, monkeypatch):
    monkeypatch.setattr("listbridge.snapshots.APPEND_AT_ONCE", 7)
    difference = compare(context, "vip", rows(*(f"p{n}@x.se" for n in range(30))))

    assert apply(context, difference, NOON).accepted == 30


def test_an_event_after_the_snapshot_wins_over_it(context, take):
    take(rows("ann@x.se"))
    left = audiences.AudienceEvent(
        email="ann@x.se", audience="vip", event="exit", timestamp=NOON + timedelta(days=1)
    )
    audiences.receive(context.store, [left])

    take(rows("ann@x.se"))

    assert members(context.store, "vip") == set()


def test_a_snapshot_waits_for_what_another_worker_is_folding(context, take):
    take(rows("ann@x.se"))
    leave = AudienceEvent(email="ann@x.se", audience="vip", event="exit", timestamp=now())
    receive(context.store, [leave])
    part = context.store.part("ann@x.se")
    context.store.client.set(part.fold_lease, "another worker", px=300)

    await_folded(context, seconds=10)

    assert compare(context, "vip", rows("ann@x.se")).enters.keys() == {"ann@x.se"}


def test_a_snapshot_is_not_compared_with_what_is_not_folded(context):
    enter = AudienceEvent(email="ann@x.se", audience="vip", event="enter", timestamp=now())
    receive(context.store, [enter])
    context.store.client.set(context.store.part("ann@x.se").fold_lease, "another worker", px=60_000)

    with pytest.raises(SnapshotError, match=r"not folded within 0\.2 s"):
        await_folded(context, seconds=0.2)
