import os
import subprocess
import sys
from io import BytesIO

import fsspec
import pytest
from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem

import settings as settings_module
from listbridge.archive import storage as storage_module
from listbridge.archive.errors import StorageError
from listbridge.archive.storage import LocalStorage, RemoteStorage, check, open_storage
from settings import SettingsError


def of(url, tmp_path):
    return settings_module.load({"LISTBRIDGE_ARCHIVE_URL": url, "LISTBRIDGE_DATA_DIR": str(tmp_path)})


@pytest.fixture(params=["directory", "object store", "server"])
def storage(request, tmp_path, monkeypatch):
    """Each kind of storage: the last has directories and renames, as SFTP."""
    if request.param == "directory":
        yield LocalStorage(tmp_path / "archive")
        return
    if request.param == "server":
        monkeypatch.setattr(storage_module, "_WHOLE_PUTS", frozenset())
    yield RemoteStorage("memory://bucket/archive")
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def content(storage, path):
    source = storage.source(path)
    return source.read() if isinstance(source, BytesIO) else source.read_bytes()


def test_what_is_put_can_be_read_replaced_listed_and_deleted(storage):
    storage.put("a/b=1/one", b"first", writer="00")
    storage.put("a/b=1/one", b"second one", writer="00")
    storage.put("two", b"", writer="01")

    assert content(storage, "a/b=1/one") == b"second one"
    assert storage.sizes() == {"a/b=1/one": 10, "two": 0}
    storage.delete("two")
    storage.delete("two")
    assert storage.sizes() == {"a/b=1/one": 10}
    with pytest.raises(FileNotFoundError):
        storage.source("two")


def test_an_empty_storage_has_no_files(storage):
    assert storage.sizes() == {}
    storage.tidy("00")


@pytest.mark.parametrize("storage", ["directory", "server"], indirect=True)
def test_only_a_writers_own_leftovers_are_removed(storage):
    storage.put(".tmp/00-left", b"half", writer="00")
    storage.put(".tmp/01-left", b"half", writer="00")
    assert storage.sizes() == {}

    storage.tidy("00")

    assert content(storage, ".tmp/01-left") == b"half"
    with pytest.raises(FileNotFoundError):
        storage.source(".tmp/00-left")


def test_the_default_is_a_directory_beside_the_store(tmp_path):
    opened = open_storage(of("", tmp_path))
    assert isinstance(opened, LocalStorage)
    assert opened.shown == str(tmp_path / "archive")
    assert open_storage(of(f"file://{tmp_path}/a%20b", tmp_path)).shown == str(tmp_path / "a b")


def test_a_password_is_not_shown(tmp_path):
    assert RemoteStorage("memory://ann:secret@host/path").shown == "memory://host/path"
    assert "secret" not in repr(of("sftp://ann:secret@host/path", tmp_path))


def test_a_storage_that_nobody_knows_is_refused_at_start(tmp_path):
    with pytest.raises(SettingsError, match="begins with floppy://, which fsspec doesn't know"):
        check(of("floppy://a/b", tmp_path))


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("abfs", "azure"), ("sftp", "sftp")])
def test_a_package_that_is_missing_is_named_at_start(tmp_path, monkeypatch, scheme, extra):
    def missing(protocol):
        raise ImportError(f"Install the package for {protocol}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(SettingsError, match=rf"isn't installed: pip install 'listbridge\[{extra}\]'"):
        check(of(f"{scheme}://bucket/path", tmp_path))


@pytest.mark.parametrize(
    "url", ["archive", "/var/archive", "s3:", "s3://", "file:///", "s3://a?b=c", "s3://a\tb"]
)
def test_what_is_no_url_is_no_setting(url, tmp_path):
    with pytest.raises(SettingsError, match="LISTBRIDGE_ARCHIVE_URL"):
        of(url, tmp_path)


def test_a_directory_that_can_not_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="can't be written: Not a directory"):
        LocalStorage(tmp_path / "file").put("a", b"", writer="00")


def test_whatever_a_package_raises_is_a_storage_error_that_says_where(monkeypatch):
    class NetworkDown(Exception):
        pass

    def fail(*_, **__):
        raise NetworkDown("no route to host")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", fail)
    monkeypatch.setattr(MemoryFileSystem, "cat_file", fail)
    storage = RemoteStorage("memory://bucket/archive")
    with pytest.raises(StorageError, match="bucket/archive/a can't be written: NetworkDown: no route"):
        storage.put("a", b"", writer="00")
    with pytest.raises(StorageError, match="bucket/archive/a can't be read: NetworkDown"):
        storage.source("a")


def test_a_storage_that_failed_is_connected_to_anew(monkeypatch):
    opened = []

    def open_once_more(*arguments, **options):
        opened.append(arguments)
        return url_to_fs(*arguments, **options)

    monkeypatch.setattr(storage_module, "url_to_fs", open_once_more)
    storage = RemoteStorage("memory://bucket/archive")
    with monkeypatch.context() as broken:
        broken.setattr(MemoryFileSystem, "pipe_file", lambda *_: 1 / 0)
        with pytest.raises(StorageError, match="ZeroDivisionError"):
            storage.put("a", b"x", writer="00")
    storage.put("a", b"x", writer="00")
    assert storage.sizes() == {"a": 1}
    assert len(opened) == 2


TOO_LARGE = """
import resource, sys
from pathlib import Path
from listbridge.archive.errors import StorageError
from listbridge.archive.storage import LocalStorage
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
storage = LocalStorage(Path(sys.argv[1]))
storage.put("small", b"x" * 900, writer="00")
try:
    storage.put("small", b"x" * 2000, writer="00")
except StorageError as error:
    print(error)
"""


def test_a_write_that_the_system_breaks_off_leaves_the_old_file_and_no_other(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", TOO_LARGE, str(tmp_path)], capture_output=True, text=True, env=os.environ
    )

    assert ran.stdout == f"{tmp_path}/small can't be written: File too large\n", ran.stderr
    assert {path.name: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()} == {
        "small": 900
    }
