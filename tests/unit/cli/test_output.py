"""What comes from outside is printed as it is."""

from __future__ import annotations

import errno
import io

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from cli import output, runtime


@pytest.fixture
def printed(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=out, width=80, highlight=False, markup=False))
    return out


def test_square_brackets_in_a_table_are_no_markup(printed):
    output.show_rows([{"kind": "map[string]intsum [/b]"}], {"kind": "KIND"}, as_json=False, empty="")
    output.show_fields({"kind": "[red]x[/red]"}, as_json=False)
    output.say("[/b] as it is")
    text = printed.getvalue()
    assert "map[string]intsum [/b]" in text
    assert "[red]x[/red]" in text
    assert "[/b] as it is" in text


def test_square_brackets_in_an_error_are_no_markup(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(runtime, "errors", Console(file=out, width=80, markup=False))
    with pytest.raises(SystemExit) as ended:
        runtime.fail("KIND map[string]intsum [/b]")
    assert ended.value.code == 1
    assert "error: KIND map[string]intsum [/b]" in out.getvalue()


def run(problem):
    """What a command that ends with the problem says on standard error, and its exit code."""

    @click.group(cls=runtime.Group)
    def group():
        pass

    @group.command()
    def command():
        raise problem

    found = CliRunner().invoke(group, ["command"])
    return found.stderr, found.exit_code


def test_a_pipe_that_is_closed_is_no_error_in_words(monkeypatch):
    monkeypatch.setattr(runtime, "errors", Console(stderr=True, markup=False))
    assert run(BrokenPipeError(errno.EPIPE, "Broken pipe")) == ("", 1)


def test_a_file_that_cannot_be_used_is_named_without_a_number(monkeypatch):
    problem = FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/such")
    monkeypatch.setattr(runtime, "errors", Console(stderr=True, markup=False))
    assert "/no/such: No such file or directory" in runtime._said(problem)
    assert run(problem)[1] == 1


def test_an_id_stays_whole_in_a_narrow_terminal_and_a_long_code_does_not(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=out, width=60))
    row = {"id": "a" * 32, "code": "b" * 60, "text": "c " * 40}
    output.show_rows([row], {"id": "ID", "code": "CODE", "text": "TEXT"}, as_json=False, empty="")
    assert "a" * 32 in out.getvalue()
    assert out.getvalue().count("b") == 60


def test_nested_validation_messages_become_a_line_each_with_their_path():
    messages = {"audiences": {0: ["too long"]}, "labels": ["not among the audiences"]}
    assert runtime.flat(messages) == ["audiences[0]: too long", "labels: not among the audiences"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        ({}, "-"),
        (True, "yes"),
        (0, "0"),
        (["a", 1], "a, 1"),
        ({"a": None}, "a: -"),
    ],
)
def test_a_value_in_a_cell(value, shown):
    assert output.text(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\x1b]0;owned\x07\x1b[31mred", "\ufffd]0;owned\ufffd\ufffd[31mred"),
        ("abc\u202edef", "abc\ufffddef"),
        ("two\nlines", "two\nlines"),
        ("Zoë 李 🙂", "Zoë 李 🙂"),
    ],
)
def test_nothing_that_steers_a_terminal_is_printed(value, shown):
    assert output.text(value) == shown
