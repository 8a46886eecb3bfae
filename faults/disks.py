"""Disks that are small, and disks that lose their power. Both need the right to mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COPIES = 20
"""So often the disk is copied, until nothing reached it meanwhile: a copy of two moments is no power cut."""
UNWRITTEN_SECONDS = 300
"""So long ext4 keeps to itself what nobody asked it to sync, unless the machine is short of memory."""


class NoDisk(Exception):
    """This user may not mount a file system, or this machine can't make one."""


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[None]:
    """The directory is a disk of that size, in memory. Raises `NoDisk`."""
    directory.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory))
    try:
        yield
    finally:
        _run("umount", "-l", str(directory))


class Disk:
    """A file system in a file: what is written there and not synced is in memory only, as on a real disk.

    The directory is mounted for the duration of the block. Raises `NoDisk`.
    """

    def __init__(self, directory: Path, megabytes: int) -> None:
        self.directory = directory
        self._megabytes = megabytes
        self._images = 0

    @property
    def _image(self) -> Path:
        return self.directory.with_name(f"disk-{self._images}")

    def __enter__(self) -> Disk:
        self.directory.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(self._megabytes << 20)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        self._unmount()

    def cut_power(self) -> None:
        """From now on the directory holds what had reached the disk, and nothing else.

        The file under the file system is copied as it is, and the copy is mounted, which replays its
        journal, as a machine does when it comes back. What has a file open there keeps the old one.
        """
        before = self._image
        self._images += 1
        for _ in range(COPIES):
            written = before.stat().st_mtime_ns
            _run("cp", "--sparse=always", str(before), str(self._image))
            if before.stat().st_mtime_ns == written:
                break
        else:
            raise RuntimeError(f"{before} was written to during each of {COPIES} copies")
        self._unmount()
        self._mount()
        before.unlink()

    def _mount(self) -> None:
        options = f"loop,noatime,commit={UNWRITTEN_SECONDS}"
        _run("mount", "-t", "ext4", "-o", options, str(self._image), str(self.directory))

    def _unmount(self) -> None:
        _run("umount", "-l", str(self.directory))


def _run(*argv: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoDisk(f"{argv[0]} is not there, which makes disks for this fault") from None
    if done.returncode:
        raise NoDisk(f"{argv[0]} failed: {done.stderr.strip()}")
