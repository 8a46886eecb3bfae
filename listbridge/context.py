"""What one process works with: the settings, the store, the active mappings and the secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from listbridge.aggregation import MappingError, Program
from listbridge.archive.reading import Archive
from listbridge.archive.storage import check, open_storage
from listbridge.mappings import versions
from listbridge.mappings.active import ActivePrograms, Programs
from listbridge.mappings.sources import compiled, configured
from listbridge.secrets import Secrets
from listbridge.store.store import Store, connect
from settings import Settings, SettingsError


@dataclass(frozen=True)
class Context:
    """Built once per process."""

    settings: Settings
    store: Store
    programs: Programs
    secrets: Secrets
    redis_url: str = field(default="", repr=False)
    """Where the store is, for processes that this one starts."""

    @property
    def program(self) -> Program:
        """The program of the active mappings: another one when others were made active."""
        return self.programs.current()

    @cached_property
    def archive(self) -> Archive:
        """The archive; its storage is connected to on first use."""
        return Archive(self.store, open_storage(self.settings))


def build(settings: Settings, redis_url: str, *, timeout_seconds: float = 10.0, retries: int = 3) -> Context:
    """Connect to the store at `redis_url`, check its layout, compile the active mappings.

    An empty store gets the configured mappings as its first version. Raises `SettingsError` too when the
    archive's address can't be used here.
    """
    check(settings)
    store = connected(settings, redis_url, timeout_seconds=timeout_seconds, retries=retries)
    if not versions.is_established(store):
        versions.establish(store, configured(settings))
    programs = ActivePrograms(store)
    programs.current()
    return Context(settings, store, programs, Secrets(settings.encryption_keys), redis_url)


def connected(
    settings: Settings, redis_url: str, *, timeout_seconds: float = 10.0, retries: int = 3
) -> Store:
    """The store at `redis_url`, its layout checked, whatever mappings it has."""
    store = connect(
        redis_url,
        settings.partitions,
        timeout_seconds=timeout_seconds,
        retries=retries,
        stream_limit_events=settings.stream_limit_events,
    )
    store.prepare()
    return store


def load_program(settings: Settings) -> Program:
    """The program of the configured mappings, which may not be the active ones.

    Raises `SettingsError` when there is no such directory and `MappingError` for what is wrong in a file.
    """
    return compiled(configured(settings))


def unapplied(settings: Settings, store: Store) -> str:
    """In which way the configured mappings are not the active ones, in a sentence; empty if they are."""
    held = versions.active(store)
    try:
        planned = versions.plan(store, configured(settings))
    except (MappingError, SettingsError, OSError) as problem:
        return f"the configured mappings can't be used, and version {held.number} stays active: {problem}"
    if planned.is_empty:
        return ""
    names = ", ".join(each.field for each in planned.differences) or "only in their text"
    return (
        f"the configured mappings differ from version {held.number}, which is active ({names}): "
        "`listbridge mapping apply` shows how and makes them active"
    )
