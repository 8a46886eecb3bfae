"""What a soak measures, and which faults it draws from."""

import pytest

import faults.__main__  # noqa: F401 - enters all faults
from faults.soak import by_group, lots, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:07", 7), ("12:34", 754), ("01:00:00", 3600), ("2-03:00:01", 183_601)]
)
def test_the_age_of_a_process_is_read_as_ps_writes_it(text, seconds):
    assert seconds_of(text) == seconds


def test_a_processs_memory_is_that_of_its_whole_group():
    processes = [(10, 10, 1024, 5.0), (11, 10, 2048, 4.0), (20, 20, 512, 9.0)]
    assert by_group(processes, {"web": 10, "fold": 20, "gone": 30}) == (
        {"web": 3.0, "fold": 0.5, "gone": 0},
        {"web": 5.0, "fold": 9.0, "gone": 0.0},
    )


def test_faults_that_give_something_up_or_need_another_installation_are_not_drawn():
    names = {each.name for each in lots()}
    assert {"kill-web", "half-open", "api-500"} <= names
    assert names.isdisjoint({"power-cut-everysec", "kill-store-everysec", "disk-full"})
