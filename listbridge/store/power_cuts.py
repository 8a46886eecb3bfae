"""What a power cut leaves at the end of the store's append-only files.

A file system may note that a file has grown before the page that it grew by is written. After a power cut
the file then ends in zeros up to the end of that page (seen with ext4). The server takes a file that ends
in half a command, which was never acknowledged, and cuts that off; but it refuses one with zeros behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

FILES = "appendonlydir/*.incr.aof"
BLOCK_BYTES = 64 * 1024


def cut_zeros(data_dir: Path) -> Iterator[tuple[Path, int]]:
    """Cut the zeros off the ends of the files; -> each file that had some, and how many bytes of them.

    No command ends in a zero, so nothing that was written whole is lost. The server must not run.
    """
    for path in sorted(data_dir.glob(FILES)):
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = _end_of_text(path, size)
            if end < size:
                file.truncate(end)
                os.fsync(file.fileno())
                yield path, size - end


def _end_of_text(path: Path, size: int) -> int:
    """Behind the last byte that is no zero."""
    with path.open("rb") as file:
        while size:
            start = max(0, size - BLOCK_BYTES)
            file.seek(start)
            text = file.read(size - start).rstrip(b"\0")
            if text:
                return start + len(text)
            size = start
    return 0
