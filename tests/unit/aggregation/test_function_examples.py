"""The reference's examples hold, and what the functions make of values that are missing or odd."""

import pytest

from listbridge.aggregation import parse, values
from listbridge.aggregation.expressions import compile_expression
from listbridge.aggregation.functions import FUNCTIONS
from listbridge.aggregation.reference import EXAMPLE_EVENT
from listbridge.streams.schemas import SCHEMAS

EXAMPLES = [example for function in FUNCTIONS.values() for example in function.examples]


@pytest.fixture
def evaluate(frame):
    schema = SCHEMAS["cm_activity"]

    def evaluate(text, **fields):
        column = parse(f"SELECT {text} AS x FROM cm_activity INTO user BY x").columns[0]
        expr = compile_expression(column.expression, schema).expr
        events = frame("cm_activity", [{**EXAMPLE_EVENT, **fields}, {"event": "other"}])
        ready = events.select("_time", *(values.field(name, kind) for name, kind in schema.items()))
        return ready.select("_time", x=expr)["x"].to_list()[0]

    return evaluate


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_an_example_gives_what_the_reference_says(evaluate, text, expected):
    assert evaluate(text) == expected


def test_every_function_has_an_example_and_a_meaning():
    assert all(function.examples and function.meaning.endswith(".") for function in FUNCTIONS.values())


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ('split(city, ",")', {"city": "a,,b"}, ["a", "b"]),
        ('split(city, ",")', {"city": ",,"}, None),
        ('split(city, ",")', {"city": ""}, None),
        ("strip(city)", {"city": " \t\r\n"}, None),
        ('replace(city, "a")', {"city": "aaa"}, None),
        ('replace(city, "a", region)', {"city": "bab", "region": "c"}, "bcb"),
        ('replace(city, "a")', {}, None),
        ("replace(city, cc, region)", {"city": "a" * 16_000, "cc": "a", "region": "b" * 16_000}, None),
        ("oneof(latitude, 5)", {}, 5.0),
        ("oneof(latitude, 5)", {"latitude": 0.5}, 0.5),
        ("oneof(custom_fields, custom_fields)", {"custom_fields": {"a": "1"}}, [{"k": "a", "v": "1"}]),
        ('join(city, region, "-")', {"city": "a"}, "a"),
        ('join(city, latitude, "-")', {"city": "a", "latitude": 2.5}, "a-2.5"),
        ("join(city, region)", {"city": "a"}, None),
        ('email(split(city, " "))', {"city": "A@b.c d@e.f"}, "a@b.c"),
        ('tolower(split(city, " "))', {"city": "A B"}, "a"),
        ("mapkeys(custom_fields)", {"custom_fields": {}}, None),
        ("host(url)", {"url": "a.b"}, None),
        ("host(url)", {"url": "HTTPS://user@Example.com:8080/a"}, "example.com:8080"),
        ("domain(url)", {"url": "a.b.co.uk"}, "co.uk"),
        ("path(url)", {"url": "https://x.se/A%20b"}, "/a b"),
        ("path(url)", {"url": "https://x.se"}, None),
        ('qs(url, "q")', {"url": "https://x.se/?q=&q=2"}, None),
        ('qs(url, "q")', {"url": "https://x.se/?p=%zz&q=%C3%A9"}, "é"),
        ('qs(url, "q")', {"url": "http://%zz/?q=1"}, None),
        ("qs(url, city)", {"url": "https://x.se/?q=1", "city": "q"}, "1"),
        ('urlminusqs(url, "a")', {"url": "https://x.se/?c=1&a=2&b=3 4"}, "https://x.se/?b=3+4&c=1"),
        ('urlminusqs(url, "a")', {"url": "https://x.se/"}, "https://x.se/?"),
        ("toint(city)", {"city": "9" * 19}, None),
        ("toint(city)", {"city": "-9223372036854775808"}, -(2**63)),
        ("toint(city)", {"city": "0x10"}, None),
        ("toint(city)", {"city": "1_000"}, None),
        ("toint(city)", {"city": "-5.9"}, -5),
        ("toint(latitude)", {"latitude": 1e300}, None),
        ('toint(todate("1396889935"))', {}, 1396889935000),
        ("tonumber(city)", {"city": "nan"}, None),
        ("tonumber(city)", {"city": "1e400"}, None),
        ("tonumber(city)", {"city": "-1.5e3"}, -1500.0),
        ("yymm(city)", {"city": "2014-03-17"}, "1403"),
        ("hourofday(city)", {"city": "2020-07-15T08:55:43-07:00"}, 15),
        ("hourofweek(city)", {"city": "2020-07-15T08:55:43-07:00"}, 87),
        ("yymm(city)", {}, None),
        ("yymm(todate(city))", {"city": "Apr 7, 2014"}, "1404"),
        ('cast(todate("4/7/14") AS string)', {}, "2014-04-07T00:00:00.000Z"),
        ("CAST(city AS date)", {"city": "4/7/14"}, 1396828800000),
        ('eq(split(city, ","), split(region, ";"))', {"city": "a,b", "region": "a;b"}, True),
        ('eq(todate(city), "2014-04-07T00:00:00Z")', {"city": "4/7/14"}, True),
        ('ne(city, "x")', {}, True),
        ("todate(city) > todate(region)", {"city": "2014-01-02", "region": "2014-01-01"}, True),
        ('todate(city) >= "2014-01-03"', {"city": "2014-01-02"}, False),
        ("todate(city) < epochms()", {"city": "2014-01-02"}, True),
        ('todate(city) != "x"', {"city": "2014-01-02"}, None),
        ('todate(city) > "2014"', {}, False),
    ],
)
def test_what_a_function_makes_of_odd_values(evaluate, text, fields, expected):
    assert evaluate(text, **fields) == expected
