"""Names are accepted wherever ids are."""

from __future__ import annotations

import pytest

from cli.choosing import NotFound, choose

LISTS = {"a1": "Newsletter", "b2": "Loyalty members", "c3": "newsletter two", "d4": "Twins", "e5": "twins"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("a1", "a1"), ("Newsletter", "a1"), ("NEWSLETTER", "a1"), ("loyalty members", "b2")],
)
def test_an_id_or_a_name_is_found_case_aside(wanted, found):
    assert choose(wanted, LISTS, "list") == found


def test_a_name_that_two_have_is_refused_with_their_ids():
    with pytest.raises(NotFound, match="d4, e5"):
        choose("Twins", LISTS, "list")


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(NotFound, match="did you mean 'Loyalty members'"):
        choose("Loyality member", LISTS, "list")


def test_nothing_to_choose_from_is_said():
    with pytest.raises(NotFound, match="There are: none"):
        choose("x", {}, "client")
