"""Two versions of the program at once, as in a rolling restart that is half-way, and then goes back."""

from __future__ import annotations

import ast
import os
import random
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import msgspec

import listbridge
from cli.services import CELERY, WEB
from faults.catalogue import fault
from faults.processes import another, some_time
from faults.world import World, wait
from listbridge.exports.delivered import Delivered

PACKAGES = ("listbridge", "workers", "webhooks")
STORED = (
    "archive/state.py",
    "campaign_monitor/webhooks.py",
    "exports/delivered.py",
    "exports/drift.py",
    "exports/findings.py",
    "exports/history.py",
    "exports/setup.py",
    "exports/spread.py",
    "imports/progress.py",
)
"""Where records are defined that processes leave in the store for each other."""
FIELD = "newer: int = 7"
TOGETHER_SECONDS = 2.0


@fault(
    "two-versions",
    "a newer version, whose stored records have a field more, works beside this one, and is taken back",
)
def two_versions(world: World, chance: random.Random) -> None:
    said = world.log_path.stat().st_size
    with tempfile.TemporaryDirectory(prefix="listbridge-newer-") as directory, ExitStack() as stack:
        newer_program(Path(directory))
        path = os.pathsep.join(_with(directory, world.child_env["PYTHONPATH"].split(os.pathsep)))
        address = ("--host", world.settings.http_host, "--port", str(world.settings.http_port))
        for argv in (
            (*CELERY, "worker", "-n", "newer-fold@%h", "-P", "solo", "-Q", "fold,archive"),
            (
                *CELERY,
                "worker",
                "-n",
                "worker-newer@%h",
                "-l",
                "INFO",
                "-P",
                "threads",
                "-c",
                "4",
                "-Q",
                "deliver,schedule,pull",
            ),
            (*WEB, *address),
        ):
            stack.enter_context(another(world, *argv, env={"PYTHONPATH": path}, folder=directory))
        wait(lambda: _is_ready(world.log_path, said), 90, "the newer version to be there")
        for name in ("fold", "worker", "pull", "archive"):
            world.send(name, signal.SIGTERM)
            some_time(chance)
        wait(lambda: _newer_records(world) > 0, 60, "the newer version to deliver")
        time.sleep(TOGETHER_SECONDS)
    if not _newer_records(world):
        raise RuntimeError("nothing is left of what the newer version wrote")


def _with(directory: str, path: list[str]) -> list[str]:
    """The folder of the clock stays first."""
    return [path[0], directory, *path[1:]]


def newer_program(directory: Path) -> None:
    """Copy the program there, with one field more in what it stores."""
    root = Path(listbridge.__file__).parent.parent
    leave = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(root / name, directory / name, ignore=leave)
    shutil.copy(root / "settings.py", directory)
    for name in STORED:
        path = directory / "listbridge" / name
        path.write_text(with_a_field_more(path.read_text(encoding="utf-8")), encoding="utf-8")


def with_a_field_more(source: str) -> str:
    """The source of a module with another field, the last, in each struct."""
    lines = source.splitlines()
    structs = [
        each
        for each in ast.parse(source).body
        if isinstance(each, ast.ClassDef) and any(ast.unparse(base).endswith("Struct") for base in each.bases)
    ]
    for each in reversed(structs):
        lines.insert(each.end_lineno or 0, f"    {FIELD}")
    return "\n".join(lines) + "\n"


def _is_ready(log_path: Path, said: int) -> bool:
    """Has the newer worker said so, after so many bytes of the log?"""
    with log_path.open("rb") as log:
        log.seek(said)
        return any(b"worker-newer@" in line and b"ready" in line for line in log)


def _newer_records(world: World) -> int:
    """How many people the newer version delivered last."""
    store, fields = world.stage.context.store, len(msgspec.structs.fields(Delivered))
    found = 0
    for feed in world.feeds:
        for part in store.parts:
            held = cast(list[Any], store.client.hvals(part.delivered(feed.list_id)))
            found += sum(len(msgspec.msgpack.decode(each)) > fields for each in held)
    return found
