"""A user's change of the mappings, and the rebuild that makes it count all events: by the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from listbridge.aggregation.library import shipped_files
from settings import Settings, as_environ

LISTBRIDGE = (sys.executable, "-c", "from cli.main import main; main()")
COMMAND_SECONDS = 120

EDITED = "cm_activity_default"
OLD_IF, NEW_IF = 'IF eq(event, "open")', 'IF event IN ("open", "click")'
CHANGED_FIELD = "AS cm_monthly "
NEW_COLUMN = '  , valuect(campaign_id) AS cm_campaign_clicks KIND map[string]intsum IF eq(event, "click")'
OWN = """-- How often a person entered an audience.
SELECT
    email(email)  AS email
  , count(event)  AS audience_enters  SHORTDESC "Audiences Entered"  KIND int  IF event == "enter"
FROM audience
INTO USER BY email
ALIAS demo_audiences
"""


def write_mappings(directory: Path) -> None:
    """The files of the change: `cm_monthly` counts clicks too, `cm_campaign_clicks` and `audience_enters`
    are new."""
    directory.mkdir()
    text = next(text for _, text in shipped_files() if f"ALIAS {EDITED}" in text)
    (directory / "activity.lql").write_text(_edited(text), encoding="utf-8")
    (directory / "audiences.lql").write_text(OWN, encoding="utf-8")


def _edited(text: str) -> str:
    lines = text.splitlines()
    [place] = (number for number, line in enumerate(lines) if CHANGED_FIELD in line)
    lines[place] = lines[place].replace(OLD_IF, NEW_IF)
    lines.insert(place + 1, NEW_COLUMN)
    return "\n".join(lines) + "\n"


class Command:
    """A `listbridge` command that runs beside us."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def result(self) -> Any:
        """What it printed with --json, once it has ended. Raises `RuntimeError` with what it says."""
        try:
            printed, said = self._process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"waited {COMMAND_SECONDS} s for `listbridge {self._name}`") from None
        if self._process.returncode:
            raise RuntimeError(f"`listbridge {self._name}` failed: {said.strip()[-2000:]}")
        return json.loads(printed)


@contextmanager
def command(settings: Settings, *arguments: str) -> Iterator[Command]:
    """Run `listbridge ARGUMENTS --json` on the installation of these settings while the block goes on."""
    with subprocess.Popen(
        [*LISTBRIDGE, *arguments, "--json"],
        env=os.environ | as_environ(settings) | {"POLARS_MAX_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Command(process, " ".join(arguments[:2]))
        finally:
            if process.poll() is None:
                process.terminate()
