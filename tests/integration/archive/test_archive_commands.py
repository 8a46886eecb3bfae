"""`listbridge archive`, `stream export` and `stream tail` on a real store."""

import csv
import io
import json
import os
import subprocess
import sys

import polars as pl
import pytest
from archive_helpers import DAY, NOVEMBER, activity, counting_paths, ids, some
from click.testing import CliRunner

import settings as settings_module
from cli.main import main
from listbridge import bells
from listbridge.aggregation.fold import Folder
from listbridge.archive.reading import Archive
from listbridge.jobs.archive import BELL, MANY_EVENTS, archive, is_due
from listbridge.jobs.sweep import sweep
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.streams.log import append
from listbridge.streams.schemas import CM_ACTIVITY


@pytest.fixture
def variables(app_settings):
    return {
        "LISTBRIDGE_DATA_DIR": str(app_settings.data_dir),
        "LISTBRIDGE_REDIS_URL": app_settings.redis_url,
        "LISTBRIDGE_PARTITIONS": str(app_settings.partitions),
    }


@pytest.fixture
def run(context, variables, monkeypatch):
    """Runs a command against the store of the tests."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings_module.current.cache_clear()
    yield lambda *arguments: CliRunner().invoke(main, arguments)
    settings_module.current.cache_clear()


@pytest.fixture
def filled(context):
    """40 events, 30 of them archived and trimmed, on two days."""
    append(context.store, some(20) + some(10, start=20, at=NOVEMBER + DAY))
    Folder(context.store, context.program).run()
    archive(context)
    append(context.store, some(10, start=30, at=NOVEMBER + DAY))
    return context.archive


def test_a_pass_now_and_the_status_after_it(run, context):
    append(context.store, some(20))
    Folder(context.store, context.program).run()

    made = json.loads(run("archive", "run", "--json").stdout)
    told = json.loads(run("archive", "status", "--verify", "--json").stdout)

    assert made == {"events": 20, "compacted": 0, "trimmed": 20, "deleted": 0}
    [stream] = [each for each in told["streams"] if each["stream"] == CM_ACTIVITY]
    assert (stream["archived"], stream["waiting"], stream["held"], stream["skipped"]) == (20, 0, 0, 0)
    assert told["last_pass"] == told["last_success"] is not None
    assert told["verification"] == {"files": stream["files"], "unreadable": [], "foreign": []}
    table = run("archive", "status").stdout
    assert "cm_activity" in table
    assert "last pass" in table


def test_the_status_says_since_when_the_storage_fails(run, context):
    archive(context)
    append(context.store, some(5))
    (context.settings.data_dir / "archive").rename(context.settings.data_dir / "gone")
    (context.settings.data_dir / "archive").write_text("in the way")

    made = run("archive", "run")
    told = json.loads(run("archive", "status", "--json").stdout)

    assert made.exit_code == 1
    assert "Not a directory" in told["error"]
    assert told["last_success"] <= told["error_since"] <= told["last_pass"]
    assert "Not a directory" in " ".join(run("archive", "status").output.split())


def test_a_verification_that_finds_damage_ends_with_1_and_names_it(run, filled):
    bad = min(counting_paths(filled))
    filled.storage.put(bad, b"damaged", writer="0")
    filled.storage.put("stray.parquet", b"", writer="0")

    found = run("archive", "status", "--verify")

    assert found.exit_code == 1
    assert f"unreadable: {bad}: parquet" in found.stderr
    assert "foreign: stray.parquet" in found.stderr
    assert "1 unreadable, 1 foreign" in found.stdout


def exported(kind, content):
    if kind == "parquet":
        return pl.read_parquet(io.BytesIO(content)).to_dicts()
    if kind == "csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    return [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
def test_an_export_holds_every_event_once_archived_or_not(run, filled, tmp_path, kind):
    made = run("stream", "export", "cm_activity", "--format", kind, "-o", str(tmp_path / "out"))

    assert made.exit_code == 0, made.output
    assert "40 events are in" in made.stderr
    events = exported(kind, (tmp_path / "out").read_bytes())
    assert sorted(each["_id"] for each in events) == sorted(
        ids(some(20) + some(20, start=20, at=NOVEMBER + DAY))
    )
    assert {each["event"] for each in events} == {"open"}
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_an_export_can_go_to_standard_output(run, filled, kind):
    made = run("stream", "export", "cm_activity", "--format", kind, "--from", "2026-11-02")

    assert len(exported(kind, made.stdout_bytes)) == 20


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--to", "2026-11-02"], 20),
        (["--from", "2026-11-01", "--to", "2026-11-02"], 20),
        (["--to", "2026-11-01"], 0),
        (["--email", "Person3@X.se"], 8),
        (["--email", "person3@x.se", "--from", "2026-11-02"], 4),
        (["--email", "nobody@x.se"], 0),
    ],
)
def test_an_export_can_be_of_a_person_and_of_days(run, filled, options, count):
    assert len(run("stream", "export", "cm_activity", *options).stdout.splitlines()) == count


def test_maps_are_objects_in_csv(run, context):
    append(context.store, [activity("ann@x.se", custom_fields={"b": "2", "a": 'quo"te'}, latitude=5)])

    [row] = exported("csv", run("stream", "export", "cm_activity", "--format", "csv").stdout_bytes)

    assert json.loads(row["custom_fields"]) == {"a": 'quo"te', "b": "2"}
    assert (row["latitude"], row["url"]) == ("5.0", "")


def test_an_export_with_an_unreadable_file_writes_the_rest_and_ends_with_1(run, filled):
    bad = min(counting_paths(filled))
    filled.storage.delete(bad)

    made = run("stream", "export", "cm_activity")

    assert made.exit_code == 1
    assert f"unreadable: {bad}: there is no such file" in made.stderr
    assert 10 <= len(made.stdout.splitlines()) < 40


def test_parquet_needs_a_file_and_an_address_must_be_one(run):
    assert "name it with -o FILE" in run("stream", "export", "cm_activity", "--format", "parquet").stderr
    assert "no e-mail address" in run("stream", "export", "cm_activity", "--email", "nobody").stderr


def test_the_newest_events_are_shown_from_archive_and_stream(run, filled):
    shown = run("stream", "tail", "cm_activity", "--count", "25", "--json").stdout.splitlines()

    assert len(shown) == 25
    assert set(ids(some(10, start=30, at=NOVEMBER + DAY))) < {json.loads(line)["id"] for line in shown}


def test_a_pass_is_due_after_its_time_or_when_many_events_wait(context):
    assert is_due(context), "there was none yet"
    assert sweep(context).archive
    bells.ring(context.store, BELL)
    archive(context)

    assert not bells.is_rung(context.store, BELL)
    assert not is_due(context)
    part = context.store.parts[0]
    context.store.client.hset(part.totals, CM_ACTIVITY, MANY_EVENTS)
    assert is_due(context)
    context.store.client.hset(keys.ARCHIVE, "error", "the disk is full")
    assert not is_due(context), "a storage that fails is tried at its time"
    context.store.client.hset(keys.ARCHIVE, "last_pass", now_ms() - 60_001)
    assert is_due(context)


def test_the_worker_of_the_archive_does_a_pass(context, variables, tmp_path):
    append(context.store, some(7))
    env = os.environ | variables
    code = "from workers.tasks import archive; archive()"
    subprocess.run([sys.executable, "-c", code], env=env, check=True, cwd=tmp_path)

    found = Archive(context.store, context.archive.storage)
    assert sum(found.snapshot(CM_ACTIVITY, part).events for part in context.store.parts) == 7
