"""Mappings that pass the checks of types and can't be computed never become a program."""

import pytest

from listbridge.aggregation import MappingError, compile_program, parse


def compiled(column):
    text = f"""SELECT email(email) AS email KIND string
      , {column}
    FROM cm_activity INTO USER BY email ALIAS own"""
    return compile_program([parse(text, "own.lql")])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ('count(event) AS x IF split(url, "/") IN ("a")', "text or a number before IN"),
        ('count(event) AS x IF mapkeys(custom_fields) IN ("a")', "text or a number before IN"),
        ('todate("2006-01-02 15:04:05.05", reason) AS x', "names each part once"),
    ],
)
def test_what_can_not_be_computed_is_told_with_its_place(column, message):
    with pytest.raises(MappingError, match=message) as problem:
        compiled(column)

    assert "own.lql" in str(problem.value)


@pytest.mark.parametrize("column", ["9223372036854775807", "9223372036854775808", "-9223372036854775808"])
def test_great_numbers_are_computed(column):
    assert compiled(f"{column} AS x").fields["x"]
