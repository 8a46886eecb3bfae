import polars as pl
import pytest
from archive_helpers import DAY, NOVEMBER, activity, counting_paths, exported_ids, ids, some

from listbridge.archive.columns import to_parquet
from listbridge.archive.errors import StorageError
from listbridge.archive.export import Export
from listbridge.archive.passes import run_pass
from listbridge.archive.reading import Archive
from listbridge.archive.status import status, verify
from listbridge.archive.storage import LocalStorage, RemoteStorage
from listbridge.streams.log import append
from listbridge.streams.reading import lines_between
from listbridge.streams.schemas import CM_ACTIVITY


@pytest.fixture(params=["directory", "object store"])
def filled(request, archive):
    """An archive of 300 events of 60 people on two days, in a directory or on an object store."""
    if request.param == "object store":
        archive = Archive(archive.store, RemoteStorage(f"memory://{archive.storage.shown.strip('/')}"))
    for start, at in ((0, NOVEMBER), (100, NOVEMBER + DAY), (200, NOVEMBER - 1)):
        append(archive.store, some(100, people=60, start=start, at=at))
        run_pass(archive, ())
    return archive


def rows(archive, **wanted):
    return [
        row
        for part in archive.store.parts
        for frame in archive.read(CM_ACTIVITY, part, **wanted)
        for row in frame.iter_rows()
    ]


def test_columns_can_be_chosen(filled):
    found = rows(filled, columns=["event", "_key"])

    assert len(found) == 300
    assert set(found) == {("open", f"person{n}@x.se") for n in range(60)}


def test_keys_can_be_chosen_from_the_least_to_the_greatest(filled):
    found = rows(filled, columns=["_key"], keys=("person10@x.se", "person1@x.se"))

    names = {f"person{n}@x.se" for n in (1, *range(10, 20))}
    assert {key for (key,) in found} == names
    assert len(found) == sum(f"person{n % 60}@x.se" in names for n in range(300))


def test_times_can_be_chosen_and_leave_files_out(filled):
    found = rows(filled, columns=["_time"], times=(NOVEMBER, NOVEMBER + DAY))

    assert found == [(NOVEMBER,)] * 100
    part = filled.store.parts[0]
    months = {file.month for file in filled.read(CM_ACTIVITY, part, times=(0, NOVEMBER)).files}
    assert months == {"2026-10"}


def test_the_archive_and_the_stream_beyond_its_position_are_everything(filled):
    append(filled.store, some(50, start=300))
    part = filled.store.part("person0@x.se")

    found = filled.snapshot(CM_ACTIVITY, part)
    later = [line for page in lines_between(filled.store, part, CM_ACTIVITY, found.position) for line in page]

    owned = [event for event in some(50, start=300) if filled.store.part(event.key) is part]
    assert len(later) == len(owned)
    assert found.events == sum(filled.store.part(f"person{n % 60}@x.se") is part for n in range(300))


def test_large_files_come_in_frames_of_a_bounded_size(archive, monkeypatch):
    monkeypatch.setattr("listbridge.archive.files.EVENTS_A_FRAME", 64)
    append(archive.store, [activity("ann@x.se", n) for n in range(200)])
    run_pass(archive, ())

    frames = list(archive.read(CM_ACTIVITY, archive.store.part("ann@x.se")))

    assert [frame.height for frame in frames] == [64, 64, 64, 8]


def a_file(archive):
    return min(counting_paths(archive))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "there is no such file"), (b"", "parquet"), (b"no Parquet file", "parquet")],
)
def test_an_unreadable_file_is_named_and_the_rest_is_read(filled, content, reason):
    bad = a_file(filled)
    if content is None:
        filled.storage.delete(bad)
    else:
        filled.storage.put(bad, content, writer="00")

    found = Export(filled, CM_ACTIVITY)
    count = sum(frame.height for frame in found)

    [problem] = found.unreadable
    assert (problem.path, problem.lasting) == (bad, True)
    assert reason in problem.reason
    assert 0 < count < 300
    assert [each.path for each in verify(filled).unreadable] == [bad]
    assert (bad in filled.storage.sizes()) == (content is not None)


def test_a_file_with_fewer_events_than_were_written_is_not_believed(filled):
    bad = a_file(filled)
    [count] = [
        file.events
        for part in filled.store.parts
        for file in filled.snapshot(CM_ACTIVITY, part).files
        if file.path == bad
    ]
    frame = pl.read_parquet(filled.storage.source(bad)).head(3)
    filled.storage.put(bad, to_parquet(frame), writer="00")

    [problem] = verify(filled).unreadable
    assert problem.reason == f"it holds 3 events; {count} were written"


def test_foreign_files_are_named_ignored_and_left_alone(filled):
    filled.storage.put("cm_activity/partition=00/month=2026-11/mine.parquet", b"PAR1", writer="0")
    filled.storage.put("notes.txt", b"hello", writer="0")

    assert set(verify(filled).foreign) == {"cm_activity/partition=00/month=2026-11/mine.parquet", "notes.txt"}
    assert len(exported_ids(filled)) == 300
    run_pass(filled, ())
    assert "notes.txt" in filled.storage.sizes()


class UnreachableStorage(LocalStorage):
    def source(self, path):
        raise StorageError(f"{path} can't be read: Permission denied")


def test_a_profile_is_not_made_anew_while_the_storage_can_not_be_read(archive):
    append(archive.store, some(10))
    run_pass(archive, ())
    part = archive.store.part("person0@x.se")
    closed = Archive(archive.store, UnreachableStorage(archive.storage._root))

    with pytest.raises(StorageError, match="Permission denied"):
        list(closed.lines(part, CM_ACTIVITY, "person0@x.se", archive.position(CM_ACTIVITY, part)))
    reading = closed.read(CM_ACTIVITY, part)
    assert list(reading) == []
    assert [problem.lasting for problem in reading.unreadable] == [False]


def test_an_export_holds_the_stream_while_it_reads(archive):
    append(archive.store, some(30))
    run_pass(archive, ())
    append(archive.store, some(30, start=30))
    found = []

    for frame in Export(archive, CM_ACTIVITY):
        found += frame["_id"].to_list()
        run_pass(archive, ())

    assert sorted(found) == ids(some(60))


def test_an_export_of_a_person_and_of_a_time(filled):
    append(
        filled.store,
        [activity("person7@x.se", 999, NOVEMBER + 5), activity("person8@x.se", 999, NOVEMBER + 5)],
    )

    of_one = Export(filled, CM_ACTIVITY, key="person7@x.se")
    that_day = Export(filled, CM_ACTIVITY, key="person7@x.se", times=(NOVEMBER, NOVEMBER + DAY))

    assert sum(frame.height for frame in of_one) == 6
    assert sorted(time for frame in that_day for time in frame["_time"]) == [NOVEMBER, NOVEMBER, NOVEMBER + 5]


def test_the_status_counts_what_is_archived_and_what_waits(filled):
    append(filled.store, some(50, start=300))

    found = status(filled)

    [activity_status] = [each for each in found.streams if each.stream == CM_ACTIVITY]
    assert (activity_status.archived, activity_status.waiting, activity_status.held) == (300, 50, 50)
    assert activity_status.bytes == sum(
        size for path, size in filled.storage.sizes().items() if path.endswith(".parquet")
    )
    assert (found.error, found.unreadable) == ("", ())
    assert found.last_pass == found.last_success > 0
