"""The mappings that come with Listbridge."""

from __future__ import annotations

from functools import cache
from importlib import resources

from listbridge.aggregation.parser import parse
from listbridge.aggregation.syntax import Mapping


@cache
def shipped() -> tuple[Mapping, ...]:
    """The shipped mappings, in the order of their file names."""
    return tuple(parse(text, name) for name, text in shipped_files())


def shipped_files() -> tuple[tuple[str, str], ...]:
    """(file name, text) of each, in the order of their names."""
    folder = resources.files(__package__).joinpath("mappings")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".lql")), key=lambda file: file.name
    )
    return tuple((file.name, file.read_text("utf-8")) for file in files)
