"""What is said about a mapping that can't be used: the place, what stands there, what would be right."""

import pytest

from listbridge.aggregation import MappingError, compile_program, parse

REST = " FROM cm_activity INTO USER BY email"

SYNTAX = [
    ("", 1, 1, "the end of the text", "SELECT"),
    ("SELECT", 1, 7, "the end of the text", "a function"),
    ("SELECT a\nFROM\n", 2, 5, "the end of the text", "a name"),
    ("SELECT a\nFORM s INTO user BY a", 2, 1, "`FORM`", "FROM"),
    ("SELECT a,\n FROM s INTO user BY a", 2, 2, "`FROM`", "a name"),
    ("SELECT count(a AS b FROM s INTO user BY b", 1, 16, "`AS`", "`)`"),
    ("SELECT a AS b AS c FROM s INTO user BY b", 1, 18, "a second AS", "one AS"),
    ('SELECT a KIND int KIND "x" FROM s INTO user BY a', 1, 24, '`"x"`', "a kind"),
    ("SELECT a SHORTDESC text FROM s INTO user BY a", 1, 20, "`text`", "text in double quotes"),
    ("SELECT a ? b FROM s INTO user BY a", 1, 10, "`?`", "FROM"),
    ('SELECT a IF b == "x FROM s INTO user BY a', 1, 18, '`"x`', "text in double quotes"),
    ('SELECT "x" FROM s INTO user BY a', 1, 8, "a column without a name", "AS and a name"),
    ("SELECT a FROM s WHERE b INTO user BY a WHERE c", 1, 46, "a second WHERE", "one WHERE"),
    ("SELECT a IF b IN () FROM s INTO user BY a", 1, 19, "`)`", "a number"),
    ("SELECT a CAP 0 FROM s INTO user BY a", 1, 14, "`0`", "a whole number from 1"),
    ("SELECT a FROM s INTO user BY a ALIAS b c", 1, 40, "`c`", "the end"),
]

MEANING = [
    ("emial AS email", 1, 8, "`emial`", "`email`"),
    ("email(emial) AS email", 1, 14, "`emial`", "`email`"),
    ("cuont(event) AS email", 1, 8, "`cuont`", "`count`"),
    ("zzz(event) AS email", 1, 8, "`zzz`", "one of `all`"),
    ("email() AS email", 1, 8, "0 argument(s)", "1"),
    ("hourofday(event, city) AS email", 1, 8, "2 argument(s)", "none or 1"),
    ("split(city) AS email", 1, 8, "1 argument(s)", "2"),
    ("oneof(city, custom_fields) AS email", 1, 20, "map beside string", "maps alone"),
    ("oneof() AS email", 1, 8, "0 argument(s)", "1 or more"),
    ("todatein(city, region) AS email", 1, 23, "`region`", "text in double quotes"),
    ('todatein(city, "Mars/Base") AS email', 1, 23, '"Mars/Base"', '"America/Los_Angeles"'),
    ("todate(region, city) AS email", 1, 15, "isn't written out", '"02/01/2006"'),
    ("cast(city AS integer) AS email", 1, 21, '"integer"', "string, int"),
    ('cast(city, "text") AS email', 1, 19, '"text"', "string, int"),
    ("mapkeys(city) AS email", 1, 16, "of type string", "of type map"),
    ('gt(city, "a") AS email', 1, 11, "string > string", "numbers or times"),
    ('eq(split(city, ","), region) AS email', 1, 29, "string beside list", "list"),
    ("email(latitude) AS email", 1, 14, "of type number", "of type string"),
    ("hash(hourofday()) AS email", 1, 13, "of type int", "of type string"),
    ("max(event) AS email", 1, 12, "of type string", "int or number"),
    ("set(custom_fields) AS email", 1, 12, "of type map", "string"),
    ("email(max(epochms())) AS email", 1, 14, "max() inside", "outermost"),
    ("eq(custom_fields, event) AS email", 1, 11, "of type map", "text, a number"),
    ("event AS email IF city", 1, 26, "of type string", "a condition"),
    ("event AS email IF city AND region", 1, 26, "of type string", "a condition"),
    ("event AS email IF NOT city", 1, 30, "of type string", "a condition"),
    ("event AS email IF count(event)", 1, 26, "count() inside", "outermost"),
    ('event AS email IF city > "a"', 1, 26, "string > string", "numbers"),
    ("event AS email IF custom_fields == city", 1, 26, "map == string", "not a map"),
    ('event AS email IF eq(city, "x") == 1', 1, 26, "bool == int", "a bool on the right"),
    ('event AS email IF custom_fields IN ("a")', 1, 26, "of type map", "text or a number"),
    ("event AS email KIND intt", 1, 28, "`intt`", "`int`"),
    ("event AS email KIND int", 1, 28, "KIND int", "KIND string"),
    ("event AS email KIND date", 1, 28, "KIND date", "KIND string"),
    ("count(event) AS email KIND string", 1, 35, "KIND string", "KIND int or number"),
    ("max(epochms()) AS email KIND string", 1, 37, "KIND string", "KIND int or number or date"),
    ("max(latitude) AS email KIND date", 1, 36, "KIND date", "KIND number"),
    ("set(event) AS email KIND string", 1, 33, "KIND string", "KIND []string or ts[]string"),
    ("valuect(event) AS email KIND map[string]int", 1, 37, "KIND map[string]int", "KIND map[string]intsum"),
    ("map(event, city) AS email KIND map[string]intsum", 1, 39, "intsum", "KIND map[string]string"),
    ("custom_fields AS email KIND string", 1, 36, "KIND string", "KIND map[string]string"),
    ("event AS x MERGEOP max, event AS email", 1, 27, "MERGEOP max", "latest or oldest"),
    ("count(event) AS x MERGEOP latest, event AS email", 1, 34, "MERGEOP latest", "sum or count"),
    ("custom_fields AS x MERGEOP max, event AS email", 1, 35, "MERGEOP max", "latestmap"),
    ("custom_fields AS x MERGEOP sum, event AS email", 1, 35, "MERGEOP sum", "latestmap"),
    ("event AS x CAP 3, event AS email", 1, 23, "CAP for KIND string", "a set or a map"),
    ("set(event) AS x MERGEOP capped, event AS email", 1, 32, "capped without CAP", "CAP and how many"),
    ("set(epochms()) AS x KIND []time MERGEOP latest, event AS email", 1, 48, "latest", "merge or capped"),
    ("set(latitude) AS x, event AS email", 1, 12, "of type number", "string or int"),
    ("set(event) AS x KIND []time, event AS email", 1, 29, "KIND []time", "KIND []string or ts[]string"),
    ('split(event, ",") AS x KIND string, event AS email', 1, 36, "KIND string", "KIND []string"),
    ("set(event) AS x CAP 1, set(city) AS x CAP 2, event AS email", 1, 44, "CAP 2", "CAP 1"),
    ("custom_fields CONTAINS city AS email", 1, 8, "map CONTAINS string", "not a map"),
    ('event AS email IF split(city, ",") LIKE "a"', 1, 26, "list LIKE string", "text before LIKE"),
    ("event AS email MERGEOP oldest", 1, 31, "MERGEOP on email", "no MERGEOP"),
    ("event AS mail", 1, 52, "BY email", "`mail`"),
    ("event AS email, count(event) AS email", 1, 40, "KIND int", "KIND string as in m.lql, line 1"),
    (
        "event AS x, event AS x MERGEOP oldest IF event IN (1), city AS email",
        1,
        29,
        "oldest",
        "operation latest",
    ),
    (
        "max(latitude) AS x KIND number, max(epochms()) AS x KIND number, city AS email",
        1,
        58,
        "values of type int",
        "number as in",
    ),
]


def _check(error, line, column, found, expected):
    assert (error.source, error.line, error.column) == ("m.lql", line, column), str(error)
    assert found in error.found
    assert expected in error.expected
    assert str(error).startswith(f"m.lql:{line}:{column}: found ")


@pytest.mark.parametrize(("text", "line", "column", "found", "expected"), SYNTAX)
def test_what_is_not_the_language_is_reported_with_its_place(text, line, column, found, expected):
    with pytest.raises(MappingError) as caught:
        parse(text, "m.lql")
    _check(caught.value, line, column, found, expected)


@pytest.mark.parametrize(("columns", "line", "column", "found", "expected"), MEANING)
def test_what_makes_no_sense_is_reported_with_what_would(columns, line, column, found, expected):
    mapping = parse(f"SELECT {columns}{REST}", "m.lql")
    with pytest.raises(MappingError) as caught:
        compile_program([mapping])
    _check(caught.value, line, column, found, expected)


@pytest.mark.parametrize(
    ("rest", "column", "found", "expected"),
    [
        ("FROM cm_activty INTO USER BY email", 19, "`cm_activty`", "`cm_activity`"),
        ("FROM cm_activity INTO company BY email", 36, "`company`", "`user`"),
    ],
)
def test_an_unknown_stream_or_table_is_reported(rest, column, found, expected):
    with pytest.raises(MappingError) as caught:
        compile_program([parse(f"SELECT email {rest}", "m.lql")])
    _check(caught.value, 1, column, found, expected)


def test_two_mappings_of_one_alias_are_refused():
    mappings = [parse(f"SELECT email{REST} ALIAS a", source) for source in ("one.lql", "two.lql")]
    with pytest.raises(MappingError, match=r"two\.lql.*ALIAS a, which one\.lql has already"):
        compile_program(mappings)


def test_a_field_must_be_the_same_in_all_streams():
    activity = parse(f"SELECT email, set(client_id) AS ids{REST}", "one.lql")
    user = parse("SELECT email, client_id AS ids FROM cm_user INTO user BY email", "two.lql")
    with pytest.raises(
        MappingError, match=r"two\.lql:1:28: found `ids` with KIND string, expected KIND \[\]string"
    ):
        compile_program([activity, user])
