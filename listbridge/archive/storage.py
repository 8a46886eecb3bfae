"""Where the archive's files are: a directory of this machine, or anything that fsspec can write to.

A file appears whole or not at all: under a temporary name that is renamed, on an object store by one put.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import fsspec
from fsspec.core import url_to_fs

from listbridge.archive.errors import StorageError
from settings import Settings, SettingsError

TEMPORARY = ".tmp"
"""The folder under the root that files are written in before they get their name."""

_EXTRAS: Final = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("abfs", "abfss", "az", "adl"), "azure"),
    **dict.fromkeys(("sftp", "ssh"), "sftp"),
}
_WHOLE_PUTS: Final = {*_EXTRAS, "gs", "gcs", "oss", "oci", "memory"} - {"sftp", "ssh"}
"""Schemes whose put shows nothing until all of it is there, and that have no directories to make."""


class Storage(Protocol):
    """Files by their path relative to the archive's root. Methods raise `StorageError`."""

    shown: str
    """The root, without a password."""

    def put(self, path: str, content: bytes, *, writer: str) -> None:
        """Write a file, in place of one that may be there; `writer` names what `tidy` clears."""

    def source(self, path: str) -> Path | BytesIO:
        """The file as Polars reads it. Raises `FileNotFoundError` when there is none."""

    def delete(self, path: str) -> None:
        """Delete a file if it is there."""

    def sizes(self) -> dict[str, int]:
        """The size in bytes of every file but temporary ones, by its path."""

    def tidy(self, writer: str) -> None:
        """Remove the temporary files that a writer who died left behind."""


def check(settings: Settings) -> None:
    """Raises `SettingsError` when the archive's address names a kind of storage that can't be used."""
    scheme = urlsplit(settings.archive_url).scheme
    if not scheme:
        return
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        remedy = f"pip install 'listbridge[{extra}]'" if extra else str(error)
        raise SettingsError(
            f"LISTBRIDGE_ARCHIVE_URL begins with {scheme}:// and the package for it isn't installed: {remedy}"
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"LISTBRIDGE_ARCHIVE_URL begins with {scheme}://, which fsspec doesn't know; "
            "it should be file://, s3://, abfs://, sftp:// or another of its schemes"
        ) from error


def open_storage(settings: Settings) -> Storage:
    """The storage of the settings' address; nothing is connected to before it is used."""
    check(settings)
    parts = urlsplit(settings.archive_url)
    if not parts.scheme:
        return LocalStorage(settings.data_dir / "archive")
    if parts.scheme in ("file", "local"):
        return LocalStorage(Path(unquote(parts.path)))
    return RemoteStorage(settings.archive_url)


class LocalStorage:
    """A directory. What was put is on disk, its name included, when `put` returns."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self.shown = str(self._root)

    def put(self, path: str, content: bytes, *, writer: str) -> None:
        target = self._root / path
        temporary = self._root / TEMPORARY / f"{writer}-{secrets.token_hex(8)}"
        with _told(f"{target} can't be written"):
            temporary.parent.mkdir(parents=True, exist_ok=True)
            self._make_directory(target.parent)
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
            _sync_directory(target.parent)

    def _make_directory(self, directory: Path) -> None:
        if directory.is_dir():
            return
        self._make_directory(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir()
        _sync_directory(directory.parent)

    def source(self, path: str) -> Path | BytesIO:
        found = self._root / path
        if not found.exists():
            raise FileNotFoundError(f"there is no file {found}")
        return found

    def delete(self, path: str) -> None:
        with _told(f"{self._root / path} can't be deleted"):
            (self._root / path).unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        with _told(f"{self.shown} can't be listed"):
            return {
                found.relative_to(self._root).as_posix(): found.stat().st_size
                for found in sorted(self._root.rglob("*"))
                if found.is_file() and found.relative_to(self._root).parts[0] != TEMPORARY
            }

    def tidy(self, writer: str) -> None:
        with _told(f"{self.shown} can't be tidied"):
            for left in (self._root / TEMPORARY).glob(f"{writer}-*"):
                left.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RemoteStorage:
    """A folder of a storage that fsspec knows, connected to on first use."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._whole_puts = parts.scheme in _WHOLE_PUTS
        self._opened: tuple[Any, str] | None = None
        self.shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            files, root = url_to_fs(self._url, skip_instance_cache=True)
            self._opened = files, root.rstrip("/")
        return self._opened

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """As `_told`; what failed is connected to anew the next time."""
        try:
            with _told(what):
                yield
        except StorageError:
            self._opened = None
            raise

    def put(self, path: str, content: bytes, *, writer: str) -> None:
        with self._told(f"{self.shown}/{path} can't be written"):
            files, root = self._open()
            target = f"{root}/{path}"
            if self._whole_puts:
                files.pipe_file(target, content)
                return
            temporary = f"{root}/{TEMPORARY}/{writer}-{secrets.token_hex(8)}"
            files.makedirs(temporary.rpartition("/")[0], exist_ok=True)
            files.makedirs(target.rpartition("/")[0], exist_ok=True)
            files.pipe_file(temporary, content)
            files.mv(temporary, target)

    def source(self, path: str) -> Path | BytesIO:
        with self._told(f"{self.shown}/{path} can't be read"):
            files, root = self._open()
            return BytesIO(files.cat_file(f"{root}/{path}"))

    def delete(self, path: str) -> None:
        with self._told(f"{self.shown}/{path} can't be deleted"), suppress(FileNotFoundError):
            files, root = self._open()
            files.rm_file(f"{root}/{path}")

    def sizes(self) -> dict[str, int]:
        with self._told(f"{self.shown} can't be listed"):
            files, root = self._open()
            files.invalidate_cache()
            found = files.find(root, detail=True)
            relative = {name[name.index(root) + len(root) + 1 :]: held for name, held in found.items()}
            return {
                path: int(held["size"] or 0)
                for path, held in sorted(relative.items())
                if not path.startswith(f"{TEMPORARY}/")
            }

    def tidy(self, writer: str) -> None:
        if self._whole_puts:
            return
        with self._told(f"{self.shown} can't be tidied"):
            files, root = self._open()
            files.invalidate_cache()
            if files.exists(f"{root}/{TEMPORARY}"):
                for left in files.ls(f"{root}/{TEMPORARY}", detail=False):
                    if left.rpartition("/")[2].startswith(f"{writer}-"):
                        files.rm_file(left)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever a storage's package raises becomes a `StorageError`, but for a missing file when reading."""
    try:
        yield
    except FileNotFoundError as error:
        if what.endswith("read"):
            raise
        raise StorageError(f"{what}: {_reason(error)}") from error
    except Exception as error:
        raise StorageError(f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
