"""`listbridge mapping apply`, `history`, `save` and `show` of what is active."""

import json

import pytest
from click.testing import CliRunner

import settings as settings_module
from cli.main import main
from listbridge.mappings.sources import with_files
from listbridge.mappings.versions import activate, active, history, plan, program_of
from listbridge.profiles.commit import skip_name
from listbridge.store import keys

OWN = """SELECT email(email) AS email KIND string
  , count(event) AS mine KIND int IF event == "open"
FROM cm_activity INTO USER BY email ALIAS own
"""
BROKEN = OWN.replace("count(event)", "cuont(event)")


@pytest.fixture
def run(tmp_path, monkeypatch, store, store_server):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LISTBRIDGE_REDIS_URL", store_server)
    monkeypatch.delenv("LISTBRIDGE_MAPPINGS_DIR", raising=False)
    settings_module.current.cache_clear()

    def run(*arguments, stdin="", **files):
        for name, held in files.items():
            (tmp_path / f"{name}.lql").write_text(held, encoding="utf-8")
        return CliRunner().invoke(main, ["mapping", *arguments], input=stdin)

    yield run
    settings_module.current.cache_clear()


@pytest.fixture
def first(store):
    """The shipped mappings are active, and own.lql isn't."""
    return activate(store, plan(store, with_files([])))


def test_the_first_mappings_of_an_empty_store_count_all_events(run, store):
    result = run("apply", "own.lql", own=OWN)

    assert result.exit_code == 0
    assert "count all events" in result.output
    assert {each.since for each in active(store).fields.values()} == {None}


def test_what_is_applied_is_shown_asked_about_and_then_active(run, store, first):
    result = run("apply", "own.lql", own=OWN, stdin="y\n")

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "added mine"
    assert "Version 2 is active" in result.output
    assert "`listbridge profiles rebuild`" in result.output
    assert active(store).number == 2


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_consent_nothing_changes(run, store, first, answer):
    result = run("apply", "own.lql", own=OWN, stdin=answer)

    assert result.exit_code == 1
    assert active(store) == first


def test_a_dry_run_shows_and_changes_nothing(run, store, first):
    result = run("apply", "own.lql", "--dry-run", "--yes", own=OWN)

    assert (result.exit_code, result.output.strip()) == (0, "added mine")
    assert active(store) == first


def test_what_is_active_already_makes_no_version(run, store, first):
    run("apply", "own.lql", "--yes", own=OWN)
    result = run("apply", "own.lql")

    assert (result.exit_code, result.output.strip()) == (0, "Nothing changes: version 2 is active.")
    assert len(history(store)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BROKEN, "own.lql:2:5: found an unknown function `cuont`, expected `count`"),
        (OWN.replace("FROM", "FORM"), "own.lql:3:1: found `FORM`"),
        (OWN.replace("own", "audience_default").replace("cm_activity", "audience"), "exports need the field"),
    ],
)
def test_mappings_that_are_wrong_never_become_active(run, store, first, text, said):
    before = store.client.hgetall(keys.MAPPING)
    result = run("apply", "own.lql", "--yes", own=text)

    assert result.exit_code == 1
    assert said in result.output
    assert store.client.hgetall(keys.MAPPING) == before


def test_bytes_that_are_no_text_are_told_with_their_place(run, tmp_path, first):
    (tmp_path / "own.lql").write_bytes(OWN.encode().replace(b"mine", b"m\xffne"))

    assert "own.lql:2:22: found the byte 0xff, expected text in UTF-8" in run("apply", "own.lql").output


def test_without_files_the_directory_of_the_settings_is_applied_and_with_files_it_is_not(
    run, store, first, tmp_path, monkeypatch
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.lql").write_text(OWN)
    monkeypatch.setenv("LISTBRIDGE_MAPPINGS_DIR", str(tmp_path / "mine"))
    settings_module.current.cache_clear()

    assert "added mine" in run("apply", "--yes").output
    other = OWN.replace("mine", "other").replace("ALIAS own", "ALIAS another")
    result = run("apply", "b.lql", "--yes", b=other)

    assert result.output.splitlines()[:2] == ["removed mine", "added other"]
    assert {each.alias for each in active(store).texts} >= {"another", "cm_activity_default"}


def test_a_field_that_exports_decide_by_starts_anew_only_on_demand(run, store, first):
    audience = next(each.text for each in first.texts if each.alias == "audience_default")
    changed = audience.replace("map(audience, event) ", 'map(audience, event) IF audience != "x"')

    refused = run("apply", "own.lql", "--yes", own=changed)
    assert refused.exit_code == 1
    assert "audiences would start anew" in refused.output
    assert active(store) == first

    assert run("apply", "own.lql", "--yes", "--needed-anew").exit_code == 0
    assert active(store).changes == {"anew": ["audiences"]}


def test_json_says_the_version_and_what_changes_and_needs_yes(run, first):
    refused = run("apply", "own.lql", "--json", own=OWN)
    done = run("apply", "own.lql", "--json", "--yes")

    assert refused.exit_code == 1
    assert json.loads(done.stdout) == {
        "version": 2,
        "changes": [{"field": "mine", "change": "added", "changes": {}}],
    }


def test_history_says_what_each_version_changed(run, first):
    run("apply", "own.lql", "--yes", own=OWN)
    run("apply", "own.lql", "--yes", own=OWN.replace("open", "click"))
    run("apply", "own.lql", "--yes", own=OWN.replace("open", "click") + "-- a comment")

    rows = json.loads(run("history", "--json").stdout)
    assert [(row["version"], row["changes"]) for row in rows] == [
        (1, {}),
        (2, {"added": ["mine"]}),
        (3, {"anew": ["mine"]}),
        (4, {}),
    ]
    listed = run("history").output
    assert "anew mine" in listed
    assert "only the text" in listed


def test_the_active_fields_are_shown_with_since_when_they_count(run, store, first):
    run("apply", "own.lql", "--yes", own=OWN)

    since = {row["field"]: row["since"] for row in json.loads(run("show", "--json").stdout)}
    assert since["cm_openct"] is None
    assert since["mine"].startswith("20")
    assert "all events" in run("show").output
    older = {row["field"] for row in json.loads(run("show", "--version", "1", "--json").stdout)}
    assert since.keys() - older == {"mine"}


def test_skips_are_shown_by_field_and_stream(run, store, first):
    run("apply", "own.lql", "--yes", own=OWN)
    numbers = {each.name: each.number for each in program_of(active(store)).fields.values()}
    for part, count in ((store.parts[0], 1200), (store.parts[5], 34)):
        store.client.hset(part.skips, skip_name("cm_activity", numbers["city"]), count)
        store.client.hset(part.skips, skip_name("cm_user", numbers["email"]), 2)

    found = {row["field"]: row["skipped"] for row in json.loads(run("show", "--skips", "--json").stdout)}
    assert found["city"] == {"cm_activity": 1234}
    assert found["email"] == {"audience": 0, "cm_activity": 0, "cm_user": 4}
    assert found["mine"] == {"cm_activity": 0}

    lines = {line.split()[0]: line.split() for line in run("show", "--skips").output.splitlines()}
    assert lines["city"] == ["city", "all", "events", "-", "1,234", "-", "-"]
    assert lines["email"] == ["email", "all", "events", "0", "0", "4", "-"]
    older = json.loads(run("show", "--skips", "--version", "1", "--json").stdout)
    assert {row["field"] for row in older} == found.keys() - {"mine"}


def test_a_field_that_starts_anew_has_skipped_nothing_yet(run, store, first):
    run("apply", "own.lql", "--yes", own=OWN)
    number = program_of(active(store)).fields["mine"].number
    store.client.hset(store.parts[0].skips, skip_name("cm_activity", number), 7)

    def mine():
        return next(
            row["skipped"]
            for row in json.loads(run("show", "--skips", "--json").stdout)
            if row["field"] == "mine"
        )

    assert mine() == {"cm_activity": 7}
    run("apply", "own.lql", "--yes", own=OWN.replace("open", "click"))
    assert mine() == {"cm_activity": 0}


@pytest.mark.parametrize("other", [["own.lql"], ["--text"]])
def test_skips_are_asked_for_alone(run, first, other):
    assert run("show", *other, "--skips", own=OWN).exit_code == 2


def test_the_texts_are_printed_as_they_were_written(run, first):
    run("apply", "own.lql", "--yes", own=OWN)
    changed = OWN.replace("open", "click")
    run("apply", "own.lql", "--yes", own=changed)

    assert changed.rstrip() in run("show", "--text").output
    assert OWN.rstrip() in run("show", "--text", "--version", "2").output
    assert run("show", "own.lql", "--text").exit_code == 2
    assert "no version 9" in run("show", "--version", "9").output


def test_what_is_saved_can_be_edited_and_applied(run, store, first, tmp_path):
    run("apply", "own.lql", "--yes", own=OWN)
    before = active(store)

    assert run("save", "out").exit_code == 0
    assert "Nothing changes" in run("apply", "out").output
    file = tmp_path / "out" / "own.lql"
    file.write_text(OWN.replace("open", "click"))
    assert "already, with other text" in run("save", "out").output
    assert run("apply", "out", "--yes").output.startswith("anew mine")

    assert run("save", "old", "--version", "2").exit_code == 0
    run("apply", "old", "--yes")
    assert active(store).texts[-1].text == OWN
    assert {each.alias for each in active(store).texts} == {each.alias for each in before.texts}
