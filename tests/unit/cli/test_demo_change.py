"""The demo's changed mappings, and how its commands end."""

import pytest

from cli.demo.change import LISTBRIDGE, command, write_mappings
from listbridge.mappings.differences import differences
from listbridge.mappings.sources import compiled, with_files


def test_the_change_adds_two_fields_and_has_one_start_anew(tmp_path):
    write_mappings(tmp_path / "changed")

    found = differences(compiled(with_files([])), compiled(with_files([tmp_path / "changed"])))

    assert {each.field: each.change for each in found} == {
        "audience_enters": "added",
        "cm_campaign_clicks": "added",
        "cm_monthly": "anew",
    }


def test_a_command_gives_what_it_printed(app_settings, store, tmp_path):
    write_mappings(tmp_path / "changed")

    with command(app_settings, "mapping", "apply", str(tmp_path / "changed"), "--yes") as apply:
        assert apply.result()["version"] == 1


def test_a_command_that_fails_tells_what_it_said(app_settings, store, tmp_path):
    (tmp_path / "broken.lql").write_text("SELECT")

    with (
        command(app_settings, "mapping", "apply", str(tmp_path / "broken.lql")) as apply,
        pytest.raises(RuntimeError, match=r"`listbridge mapping apply` failed: error: .*broken\.lql:1:7"),
    ):
        apply.result()


def test_a_command_that_still_runs_is_ended_with_the_block(app_settings, monkeypatch):
    monkeypatch.setattr("cli.demo.change.LISTBRIDGE", (*LISTBRIDGE[:2], "import time; time.sleep(60)"))

    with command(app_settings, "profiles", "rebuild") as rebuild:
        assert rebuild.is_running
    assert not rebuild.is_running
