"""What one process works with: the settings, the store, the program of mappings and the secrets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from listbridge.aggregation import Mapping, Program, compile_program, parse, shipped
from listbridge.archive.reading import Archive
from listbridge.archive.storage import check, open_storage
from listbridge.secrets import Secrets
from listbridge.store.store import Store, connect
from settings import Settings, SettingsError

NEEDED = ("email", "audiences", "attributes", "opted_in_at", "cm_list_ids_status")
"""Fields that the code reads by name: a user's mappings must keep them."""


@dataclass(frozen=True)
class Context:
    """Built once per process."""

    settings: Settings
    store: Store
    program: Program
    secrets: Secrets

    @cached_property
    def archive(self) -> Archive:
        """The archive; its storage is connected to on first use."""
        return Archive(self.store, open_storage(self.settings))


def build(settings: Settings, redis_url: str, *, timeout_seconds: float = 10.0, retries: int = 3) -> Context:
    """Connect to the store at `redis_url`, check its layout, compile the mappings.

    Raises `SettingsError` too when the archive's address can't be used here.
    """
    check(settings)
    store = connect(
        redis_url,
        settings.partitions,
        timeout_seconds=timeout_seconds,
        retries=retries,
        stream_limit_events=settings.stream_limit_events,
    )
    store.prepare()
    return Context(settings, store, load_program(settings), Secrets(settings.encryption_keys))


def load_program(settings: Settings) -> Program:
    """The shipped mappings; a user's file replaces the shipped one with the same alias or adds to them.

    Raises `SettingsError` when there is no such directory and `MappingError` for what is wrong in a file.
    """
    own: list[Mapping] = []
    if settings.mappings_dir:
        directory = Path(settings.mappings_dir).expanduser()
        if not directory.is_dir():
            raise SettingsError(
                f"LISTBRIDGE_MAPPINGS_DIR holds {settings.mappings_dir!r}; "
                "it should be a directory of .lql files"
            )
        own = [parse(path.read_text(encoding="utf-8"), str(path)) for path in sorted(directory.glob("*.lql"))]
    replaced = {mapping.alias for mapping in own}
    program = compile_program([each for each in shipped() if each.alias not in replaced] + own)
    _check_needed(program)
    return program


def _check_needed(program: Program) -> None:
    """Refuse mappings without the fields that exports and audiences read. Raises `SettingsError`."""
    wanted = compile_program(shipped()).fields
    for name in NEEDED:
        held = program.fields.get(name)
        found = "leave it out" if held is None else f"make it {held.kind} by {held.operation.name}"
        if held is None or (str(held.kind), held.operation) != (
            str(wanted[name].kind),
            wanted[name].operation,
        ):
            raise SettingsError(
                f"exports need the field {name}, {wanted[name].kind} by {wanted[name].operation.name}, "
                f"and the mappings of LISTBRIDGE_MAPPINGS_DIR {found}"
            )
