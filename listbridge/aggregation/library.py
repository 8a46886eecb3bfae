"""The mappings that come with Listbridge."""

from __future__ import annotations

from functools import cache
from importlib import resources

from listbridge.aggregation.parser import parse
from listbridge.aggregation.syntax import Mapping


@cache
def shipped() -> tuple[Mapping, ...]:
    """The shipped mappings, in the order of their file names."""
    folder = resources.files(__package__).joinpath("mappings")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".lql")), key=lambda file: file.name
    )
    return tuple(parse(file.read_text("utf-8"), file.name) for file in files)
