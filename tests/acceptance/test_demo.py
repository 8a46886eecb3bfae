"""`make demo` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess

from tests.acceptance.installation import LISTBRIDGE

NAMES = {
    "audience_events",
    "api_calls",
    "subscribers",
    "membership_mismatches",
    "added_after_opt_out",
    "events",
    "duplicates_dropped",
    "profiles",
    "profile_mismatches",
    "rebuilt_people",
    "rebuilt_events",
    "archived_events",
    "webhook_posts",
    "seconds",
}


def test_the_demo_ends_without_a_difference(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("LISTBRIDGE_")}
    done = subprocess.run(
        [*LISTBRIDGE, "demo", "--once", "--json"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary.keys() == NAMES
    assert summary["membership_mismatches"] == 0
    assert summary["added_after_opt_out"] == 0
    assert summary["profile_mismatches"] == 0
    assert summary["profiles"] > 3000
    assert summary["events"] > 40_000
    assert summary["duplicates_dropped"] > 0
    assert summary["rebuilt_people"] > 3000
    assert summary["events"] >= summary["rebuilt_events"] > summary["archived_events"] > 0
    assert list(tmp_path.iterdir()) == []
