"""`listbridge mapping`: errors in one line, what a column makes of an event, what changes."""

import json

import pytest
from click.testing import CliRunner

from cli.main import main

GOOD = """SELECT email(email) AS email SHORTDESC "Address"
  , count(event) AS opens IF eq(event, "open") SHORTDESC "Opens"
  , set(split(city, ",")) AS cities CAP 2
  , yymm() AS month
FROM cm_activity INTO user BY email
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **files):
        for name, held in files.items():
            (tmp_path / f"{name}.lql").write_text(held, encoding="utf-8")
        return CliRunner().invoke(main, ["mapping", *arguments])

    return run


def test_a_good_file_is_said_to_be_good(run):
    result = run("check", "a.lql", a=GOOD)
    assert (result.exit_code, result.output.strip()) == (0, "a.lql: 4 fields from cm_activity")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (GOOD.replace("yymm()", "yynm()"), "a.lql:4:5: found an unknown function `yynm`, expected `yymm`"),
        (GOOD.replace("FROM", "FORM"), "a.lql:5:1: found `FORM`, expected"),
        (
            GOOD.replace("city", "cty"),
            "a.lql:3:15: found `cty`, which is no field of the stream, expected `city`",
        ),
    ],
)
def test_an_error_is_one_line_with_its_place_and_what_is_right(run, held, said):
    result = run("check", "a.lql", a=held)
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.count("\n") == 1


def test_an_event_shows_each_value_and_why_there_is_none(run):
    event = {"email": "Bob <bob@bob.com>", "event": "click", "_time": 1396889935000}
    result = run("test", "a.lql", "--event", json.dumps(event), "--json", a=GOOD)
    assert json.loads(result.output) == [
        {"field": "email", "value": "bob@bob.com", "skipped": ""},
        {"field": "opens", "value": None, "skipped": 'IF eq(`event`, "open") is false'},
        {"field": "cities", "value": None, "skipped": 'set(split(`city`, ",")) has no value: city missing'},
        {"field": "month", "value": "1404", "skipped": ""},
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{", "--event is no JSON"),
        ("[]", "--event holds no object"),
        ('{"cty": "x"}', "cm_activity has no field `cty`; expected `city`"),
        ('{"city": 5}', "`city` holds 5; expected a value of type string"),
        ('{"custom_fields": {"a": 1}}', "expected an object of text"),
    ],
)
def test_an_event_that_does_not_fit_is_refused(run, event, said):
    result = run("test", "a.lql", "--event", event, a=GOOD)
    assert result.exit_code == 1
    assert said in result.output


def test_the_fields_are_shown_with_kind_operation_and_description(run):
    rows = json.loads(run("show", "a.lql", "--json", a=GOOD).output)
    assert rows[1:3] == [
        {
            "field": "opens",
            "kind": "int",
            "operation": "sum",
            "cap": None,
            "streams": ["cm_activity"],
            "description": "Opens",
        },
        {
            "field": "cities",
            "kind": "[]string",
            "operation": "union",
            "cap": 2,
            "streams": ["cm_activity"],
            "description": "",
        },
    ]
    assert "opens" in run("show", "a.lql").output


def test_without_a_store_the_fields_of_the_configured_mappings_are_shown_and_that_is_said(run):
    result = run("show", "--json")
    assert {"email", "cm_openct"} <= {row["field"] for row in json.loads(result.stdout)}
    assert "the store isn't running" in result.stderr


def test_a_difference_says_which_fields_start_anew(run):
    other = (
        GOOD.replace('"open"', '"click"').replace("CAP 2", "CAP 3").replace("yymm() AS month", "mm() AS mm")
    )
    result = run("diff", "a.lql", "b.lql", a=GOOD, b=other)
    assert result.output.splitlines() == [
        "shown cities (cap: 2 -> 3)",
        "added mm",
        "removed month",
        "anew opens",
    ]
    assert run("diff", "a.lql", "a.lql").output.strip() == "The fields are the same."
