"""What expressions make of one event, missing values first of all."""

import pytest

from listbridge.aggregation import parse, values
from listbridge.aggregation.expressions import compile_expression

SCHEMA = {"s": "string", "t": "string", "i": "int", "n": "number", "b": "bool", "m": "map", "gone": "string"}
SCHEMA |= {"no_int": "int", "no_bool": "bool", "no_map": "map", "lost": "string"}
EVENT = {"s": "open", "t": "5", "i": 5, "n": 5.5, "b": True, "m": {"a": "b"}, "gone": "", "no_map": {}}

WEDNESDAY = 1594828543000  # 2020-07-15T15:55:43Z


@pytest.fixture
def evaluate(frame_of):
    def evaluate(text, event=EVENT):
        column = parse(f"SELECT {text} AS x FROM any INTO user BY x").columns[0]
        frame = frame_of(SCHEMA, [event])
        fields = [values.field(name, kind) for name, kind in SCHEMA.items()]
        expr = compile_expression(column.expression, SCHEMA).expr
        return frame.select("_time", *fields).select("_time", x=expr)["x"].item()

    return evaluate


CONDITIONS = [
    # eq() with missing values
    ('eq(gone, "x")', False),
    ('eq(lost, "x")', False),
    ("eq(eq(no_int, 5), false)", True),
    ("eq(gone, lost)", True),
    ("eq(s, gone)", False),
    # eq() compares as the type of its left side
    ('eq(s, "open")', True),
    ('eq(s, "Open")', False),
    ('eq(s, "open ")', False),
    ("eq(t, 5)", True),
    ("eq(t, 5.0)", True),
    ('eq(i, "5")', True),
    ('eq(i, "5.9")', True),
    ('eq(i, "x")', False),
    ("eq(i, n)", True),
    ("eq(n, i)", False),
    ('eq(n, "5.5")', True),
    ('eq(b, "t")', True),
    ("eq(b, 1)", True),
    ("eq(b, 2)", False),
    ('eq(t, "")', False),
    # == and != with missing values
    ('gone == "x"', False),
    ('"x" == gone', False),
    ('gone != "x"', True),
    ("gone == lost", False),
    ("gone != lost", False),
    ('s = "open"', True),
    ('s != "open"', False),
    ('s != ""', True),
    # the rest of the operators
    ("no_int > 1", False),
    ("no_int < 1", False),
    ("no_int >= no_int", False),
    ("i > 4", True),
    ("i >= 5", True),
    ("i < 5.5", True),
    ("n <= 5", False),
    # numbers and text
    ('i == "5"', True),
    ('i == "5.0"', True),
    ('i < "6"', True),
    ("t == 5", True),
    ("s == 5", False),
    ("s != 5", True),
    ("s > 5", False),
    ("i == s", None),
    ("i != s", None),
    # truth values
    ("b == true", True),
    ("b != FALSE", True),
    ('"true" == b', True),
    ("t == true", False),
    ("t != true", None),
    ("no_bool == true", False),
    # IN
    ('s IN ("click", "open")', True),
    ('s IN ("Open")', False),
    ('gone IN ("", "x")', False),
    ('gone NOT IN ("x")', True),
    ('NOT s IN ("click")', True),
    ('i IN (1, "5")', True),
    ("t IN (5)", True),
    ("n IN (5.5)", True),
    ("t NOT IN (5)", False),
    # CONTAINS and LIKE
    ('s CONTAINS "pe"', True),
    ('s CONTAINS "PE"', False),
    ('gone CONTAINS "x"', False),
    ("s CONTAINS gone", False),
    ("i CONTAINS 5", True),
    ('split(s, "p") CONTAINS "o"', True),
    ('split(s, "p") CONTAINS "op"', False),
    ('s LIKE "o*n"', True),
    ('s LIKE "%pen"', True),
    ('s LIKE "op?n"', True),
    ('s LIKE "ope"', False),
    ('s LIKE "O*"', False),
    ('s LIKE "[o]pen"', False),
    ('gone LIKE "*"', False),
    ('NOT s LIKE "c*"', True),
    # AND, OR, NOT with what can't be evaluated
    ("no_bool AND b", False),
    ("b AND no_bool", False),
    ("no_bool AND no_bool", None),
    ("b AND b", True),
    ("no_bool OR b", True),
    ("no_bool OR eq(i, 1)", False),
    ("no_bool OR no_bool", False),
    ("NOT no_bool", None),
    ("NOT b", False),
    ("NOT (no_bool AND b)", True),
    ("NOT i == 1 AND b", True),
    ("eq(i, 1) AND b OR b", True),
    ("b OR b AND eq(i, 1)", True),
    ("(b OR b) AND eq(i, 1)", False),
    # EXISTS
    ("EXISTS s", True),
    ("EXISTS gone", False),
    ("EXISTS lost", False),
    ("EXISTS m", True),
    ("EXISTS no_map", False),
    ("NOT EXISTS lost AND EXISTS i", True),
]


@pytest.mark.parametrize(("text", "expected"), CONDITIONS)
def test_a_condition_has_its_value_with_and_without_missing_fields(evaluate, text, expected):
    assert evaluate(text) is expected


@pytest.mark.parametrize(
    ("text", "address", "expected"),
    [
        ("email(s)", "Bob <Bob@Bob.com>", "bob@bob.com"),
        ("email(s)", "Bob@Bob.com", "bob@bob.com"),
        ("email(s)", "Bob <bob>", None),
        ("email(s)", "", None),
        ("email(s)", "b" * 250 + "@bob.com", None),
        ("emaildomain(s)", "Bob<bob@Gmail.com>", "gmail.com"),
        ("emaildomain(s)", "Bob@Gmail.com", "gmail.com"),
        ("emaildomain(s)", "Bob <bob@good", None),
        ("emaildomain(s)", None, None),
        ("urlmain(s)", "http://www.Google.com/search?q1=golang", "www.Google.com/search"),
        ("urlmain(s)", "http://%2www.google.com/", None),
        ("urlmain(s)", "mailto:a@b.c", None),
        ("hash(urlmain(s))", "mailto:a@b.c", None),
        ("hash(s)", "This is a string being used as an example", -1913777820508603599),
        ("hash(s)", "http://www.google.com?q=123", 5673948842516703987),
        ("hash(s)", "http://go.gl", 4903078846009498015),
        ("hash.sip(s)", "bananas234029348", -9131769342440180027),
        ("HASH(URLMAIN(s))", "http://www.lytics.io/?utm_source=google", 1272651684649158109),
        ("hash(s)", "www.example.com/", 8214473362118741415),
        ("hash(urlmain(s))", "https://www.example.com/blog/#top", -3688506376795245283),
        ("hash(s)", "a", -3598629688670491794),
        ("hash(s)", "", None),
    ],
)
def test_functions_of_text_give_what_the_language_says(evaluate, text, address, expected):
    assert evaluate(text, {"s": address}) == expected


@pytest.mark.parametrize(
    ("text", "time", "expected"),
    [
        ("epochms()", WEDNESDAY, WEDNESDAY),
        ("hourofday()", WEDNESDAY, 15),
        ("hourofweek()", WEDNESDAY, 87),
        ("yymm()", WEDNESDAY, "2007"),
        ("hourofweek()", 1396889880000, 40),  # Mon 2014-04-07T16:58Z
        ("yymm()", 1396889880000, "1404"),
        ("hourofweek()", 1731628800000, 120),  # Fri 2024-11-15T00:00Z
        ("hourofweek()", 1731801600000 - 1, 167),  # the end of a Saturday
        ("hourofweek()", 1731801600000, 0),
        ("hourofday()", -1, 23),
        ("hourofweek()", -1, 95),
        ("yymm()", -1, "6912"),
    ],
)
def test_functions_of_time_speak_of_the_event_in_utc(evaluate, text, time, expected):
    assert evaluate(text, {"_time": time}) == expected


def test_a_number_that_is_no_number_is_missing(evaluate):
    assert evaluate("EXISTS n", {"n": float("nan")}) is False
    assert evaluate("EXISTS n", {"n": float("inf")}) is False
