"""The store: its file is torn, cut and damaged, its memory and its disk are full."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from functools import partial
from typing import cast

from cli.demo.change import LISTBRIDGE
from faults.catalogue import fault
from faults.processes import OURS, some_time
from faults.world import Plan, World, wait

EVERYSEC = Plan(appendfsync="everysec")
TORN = b"*3\r\n$3\r\nSET\r\n$9\r\nlb:torn-k"
SELECT = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$7\r\nlb:load\r\n$1\r\n0\r\n"
DELETE = b"*2\r\n$3\r\nDEL\r\n$7\r\nlb:load\r\n"
LOADED = 10_000_000
"""Commands that a server needs some ten seconds to load."""
CHUNK = 1000
TMPFS_MB = 64
DISK_MB = 256


@fault("kill-store-everysec", "SIGKILL of the store, twice (`appendfsync everysec`)", EVERYSEC)
def kill_store_everysec(world: World, chance: random.Random) -> None:
    for _ in range(2):
        some_time(chance)
        world.kill_store()


@fault("torn-tail", "SIGKILL of the store; its file ends in half a command")
def torn_tail(world: World, chance: random.Random) -> None:
    some_time(chance)
    with world.store_killed(), world.aof().open("ab") as file:
        file.write(TORN)


@fault("slow-load", "SIGKILL of the store, whose file has ten million commands more to load")
def slow_load(world: World, chance: random.Random) -> None:
    some_time(chance)
    with world.store_killed(), world.aof().open("ab") as file:
        file.write(SELECT)
        for _ in range(LOADED // CHUNK):
            file.write(SET * CHUNK)
        file.write(DELETE)


@fault("damaged-profile", "a byte of a stored profile flipped in the file; then `profiles rebuild`")
def damaged_profile(world: World, chance: random.Random) -> None:
    some_time(chance)
    store = world.stage.context.store
    with world.store_killed():
        raw = bytearray(world.aof().read_bytes())
        place = _place_of_a_profile(raw, store.parts[0].profiles.encode())
        raw[place] ^= 0x01
        world.aof().write_bytes(raw)
    world.afterwards.append(partial(_rebuild, world))


def _rebuild(world: World) -> None:
    run = [*LISTBRIDGE, "profiles", "rebuild"]
    subprocess.run(run, env=world.command_env, check=True, capture_output=True, timeout=120)


def _place_of_a_profile(raw: bytearray, key: bytes) -> int:
    """A byte inside the last profile that was written under this hash: HSET key, person, packed, ..."""
    person, after = _bulk(raw, raw.rfind(b"\r\n" + key + b"\r\n") + len(key) + 4)
    packed, end = _bulk(raw, after)
    if not person or zlib.crc32(packed[4:]).to_bytes(4, "big") != packed[:4]:
        raise RuntimeError("no profile was found in the append-only file")
    return end - 2 - len(packed) // 2


def _bulk(raw: bytearray, start: int) -> tuple[bytes, int]:
    """The bulk string `$length CRLF bytes CRLF` that begins there, and where the next thing begins."""
    line = raw.index(b"\r\n", start)
    length = int(raw[start + 1 : line])
    return bytes(raw[line + 2 : line + 2 + length]), line + 4 + length


@fault("damaged-file", "a byte of the file's structure flipped: the server refuses it until it is mended")
def damaged_file(world: World, chance: random.Random) -> None:
    some_time(chance)
    file = world.aof()
    with world.store_killed():
        raw = file.read_bytes()
        place = raw.index(b"\r\n*", len(raw) // 2) + 2
        file.write_bytes(raw[:place] + b"!" + raw[place + 1 :])
        refused = world.embedded.ensure_running()
        deadline = time.monotonic() + 10
        while not refused and time.monotonic() < deadline:
            time.sleep(0.1)
            refused = _refuses(world)
        file.write_bytes(raw)
        if not refused:
            raise RuntimeError("the server took a damaged file")


def _refuses(world: World) -> bool:
    world.embedded.ensure_running()
    return b"Bad file format" in (world.settings.data_dir / "store.log").read_bytes()[-4000:]


@fault("memory-full", "the store's memory limit is reached for three seconds")
def memory_full(world: World, chance: random.Random) -> None:
    some_time(chance)
    client = world.stage.context.store.client
    client.config_set("maxmemory", cast(dict[str, int], client.info("memory"))["used_memory"])
    try:
        time.sleep(3)
    finally:
        client.config_set("maxmemory", 0)


def disk_full(world: World, chance: random.Random) -> None:
    """Fill the disk of the data directory, store and archive, for three seconds."""
    some_time(chance)
    ballast = world.settings.data_dir / "ballast"
    until = time.monotonic() + 3
    try:
        with ballast.open("ab", buffering=0) as file:
            while time.monotonic() < until:
                try:
                    file.write(bytes(65_536))
                except OSError as problem:
                    if problem.errno != errno.ENOSPC:
                        raise
                    with suppress(OSError):
                        file.write(bytes(512))
                    time.sleep(0.02)
    finally:
        ballast.unlink()
    wait(world.store_answers, 60, "the store to come back")


def power_cut(world: World, chance: random.Random) -> None:
    """Every process ends at once, and of the data directory stays what had reached the disk."""
    some_time(chance)
    assert world.disk is not None
    with world.store_killed():
        _kill_what_runs(world)
        world.disk.cut_power()
        _kill_what_runs(world)  # was begun meanwhile, on the disk of before


def _kill_what_runs(world: World) -> None:
    for name in OURS:
        if pid := world.stage.supervisor.pid(name):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


if sys.platform == "linux":
    for _name, _plan in (
        ("disk-full", Plan(tmpfs_mb=TMPFS_MB)),
        ("disk-full-everysec", Plan(appendfsync="everysec", tmpfs_mb=TMPFS_MB)),
    ):
        _what = f"no space for the store's file and the archive for three seconds (`{_plan.appendfsync}`)"
        fault(_name, _what, _plan)(disk_full)
    _what = "power cut: every process ends, and what had not reached the disk is gone, file system included"
    fault("power-cut", f"{_what} (`always`)", Plan(disk_mb=DISK_MB))(power_cut)
    fault(
        "power-cut-everysec",
        f"{_what} (`everysec`)",
        Plan(appendfsync="everysec", disk_mb=DISK_MB),
        gives_up="what was acknowledged in about the last second before a power cut",
        excused=("lost", "people", "rows"),
    )(power_cut)
