import pytest

from listbridge.archive.compaction import FILES_TOGETHER, LARGEST_BYTES, LARGEST_EVENTS, plan
from listbridge.archive.state import File


def file(number, events=10, month="2026-11", size=None, unreadable=""):
    return File(
        path=f"{month}/{number}-{events}",
        month=month,
        events=events,
        bytes=events * 20 if size is None else size,
        first=f"{number}-0",
        last=f"{number}-9",
        low="a",
        high="b",
        from_time=0,
        to_time=0,
        unreadable=unreadable,
    )


def files(count, **values):
    return [file(number, **values) for number in range(count)]


@pytest.mark.parametrize(
    ("held", "chosen"),
    [
        ([], 0),
        (files(FILES_TOGETHER - 1), 0),
        (files(FILES_TOGETHER), FILES_TOGETHER),
        (files(30), 30),
        (files(5) + files(5, month="2026-10"), 0),
        ([*files(7), file(8, events=100000)], 0),
        ([*files(7), file(8, unreadable="truncated")], 0),
        (files(9, events=LARGEST_EVENTS), 0),
        (files(20, events=LARGEST_EVENTS // 10), 10),
        (files(20, size=LARGEST_BYTES // 9), 9),
        ([*files(7, size=LARGEST_BYTES // 7), file(8, size=LARGEST_BYTES)], 0),
    ],
)
def test_files_of_like_size_of_a_month_are_put_together(held, chosen):
    assert len(plan(held)) == chosen


def test_the_oldest_are_first_by_their_number_and_not_by_its_text():
    held = [file(number, events=LARGEST_EVENTS // 8) for number in (100, 20, 3, 4, 5, 6, 7, 8, 9, 10)]

    assert [each.first for each in plan(held)] == ["3-0", "4-0", "5-0", "6-0", "7-0", "8-0", "9-0", "10-0"]


def test_an_event_is_written_anew_a_few_times_however_many_files_come():
    held, rewritten = [], 0
    for number in range(4000):
        held.append(file(number))
        while chosen := plan(held):
            held = [each for each in held if each not in chosen]
            held.append(file(number, events=sum(each.events for each in chosen)))
            rewritten += held[-1].events

    assert sum(each.events for each in held) == 40_000
    assert len(held) < 40
    assert rewritten < 6 * 40_000
