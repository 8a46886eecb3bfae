"""Where mappings come from: the shipped ones, the files of a user, the texts that a version keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

import msgspec

from listbridge.aggregation import (
    FieldDefinition,
    Mapping,
    MappingError,
    Program,
    compile_program,
    parse,
    shipped,
)
from listbridge.aggregation.library import shipped_files
from settings import Settings, SettingsError

NEEDED = ("email", "audiences", "attributes", "opted_in_at", "cm_list_ids_status")
"""Fields that the code reads by name: a user's mappings must keep them."""
SUFFIX = ".lql"


class UnfitMappings(SettingsError):
    """A field that exports and audiences read is left out or made otherwise: put it back as it was."""


class MappingText(msgspec.Struct, frozen=True):
    """A mapping as it was written; `name` is the file's, for messages."""

    alias: str
    name: str
    text: str


def configured(settings: Settings) -> tuple[MappingText, ...]:
    """The shipped mappings with the files of LISTBRIDGE_MAPPINGS_DIR.

    Raises `SettingsError` when there is no such directory and `MappingError` for what is wrong in a file.
    """
    if not settings.mappings_dir:
        return with_files([])
    directory = Path(settings.mappings_dir).expanduser()
    if not directory.is_dir():
        raise SettingsError(
            f"LISTBRIDGE_MAPPINGS_DIR holds {settings.mappings_dir!r}; "
            f"it should be a directory of {SUFFIX} files"
        )
    return with_files([directory])


def with_files(paths: Iterable[Path]) -> tuple[MappingText, ...]:
    """The shipped mappings and those of the files, of a directory its `.lql` files, sorted by alias.

    A file replaces the shipped mapping of its ALIAS or adds to them. Raises `MappingError` for a file that
    can't be read as a mapping and for an ALIAS that two files have.
    """
    own: dict[str, MappingText] = {}
    for path in paths:
        for file in sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]:
            mapping, text = read(file)
            if mapping.alias in own:
                found = f"ALIAS {mapping.alias}, which {own[mapping.alias].name} has already"
                place = mapping.name.place
                raise MappingError(str(file), place.line, place.column, found, "an ALIAS of its own")
            own[mapping.alias] = MappingText(mapping.alias, str(file), text)
    return tuple(text for _, text in sorted((_shipped_texts() | own).items()))


@cache
def _shipped_texts() -> dict[str, MappingText]:
    return {
        (alias := parse(text, name).alias): MappingText(alias, name, text) for name, text in shipped_files()
    }


def read(file: Path) -> tuple[Mapping, str]:
    """A file's mapping and text. Raises `MappingError` with the place of what is wrong."""
    raw = file.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        column = problem.start - raw.rfind(b"\n", 0, problem.start)
        found = f"the byte {raw[problem.start]:#04x}"
        raise MappingError(str(file), line, column, found, "text in UTF-8") from None
    return parse(text, str(file)), text


def compiled(texts: Sequence[MappingText]) -> Program:
    """The texts' program. Raises `MappingError`, and `UnfitMappings` when a needed field is missing."""
    return _compiled(tuple(texts))


@lru_cache(maxsize=8)
def _compiled(texts: tuple[MappingText, ...]) -> Program:
    """Kept for a process that is asked again: it takes some 50 ms."""
    program = compile_program([parse(each.text, each.name) for each in texts])
    _check_needed(program)
    return program


@cache
def _shipped_fields() -> MappingProxyType[str, FieldDefinition]:
    return compile_program(shipped()).fields


def _check_needed(program: Program) -> None:
    wanted = _shipped_fields()
    for name in NEEDED:
        held = program.fields.get(name)
        found = "leave it out" if held is None else f"make it {held.kind} by {held.operation.name}"
        if held is None or (str(held.kind), held.operation) != (
            str(wanted[name].kind),
            wanted[name].operation,
        ):
            raise UnfitMappings(
                f"exports need the field {name}, {wanted[name].kind} by {wanted[name].operation.name}, "
                f"and the mappings {found}"
            )
