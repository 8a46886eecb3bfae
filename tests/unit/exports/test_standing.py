"""What is said of a backfill's progress and of refusals: pure."""

import pytest

from listbridge.standing.lists import backfill, moment
from listbridge.systems import refusal_code


@pytest.mark.parametrize(
    ("people", "left", "seconds", "done", "rate", "seconds_left"),
    [
        (1000, 500, 10, 500, 50, 10),
        (1000, 1000, 10, 0, 0, None),
        (1000, 1, 999, 999, 1, 1),
        (100, 150, 10, 0, 0, None),  # others came meanwhile with the same moment
    ],
)
def test_the_progress_of_a_look_at_everybody(people, left, seconds, done, rate, seconds_left):
    found = backfill(1_000, people, left, 1_000 + seconds * 1000)
    assert (found.done, found.rate, found.seconds_left) == (done, rate, seconds_left)
    assert found.people == max(people, left)


@pytest.mark.parametrize(
    ("sequence", "at"), [(1_790_000_000_123_456, 1_790_000_000_123), (17, None), (-5, None)]
)
def test_a_sequence_number_is_a_moment_if_it_is_large_enough(sequence, at):
    assert moment(sequence) == at


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("invalid", "invalid"),
        ("206", "unsubscribed"),
        ("1", "invalid"),
        ("-213", "consent"),
        ("999", "code 999"),
        ("code 999", "code 999"),
        ("code 206", "unsubscribed"),
    ],
)
def test_a_code_is_written_as_a_word_or_as_the_apis_number(text, code):
    assert refusal_code(text) == code
