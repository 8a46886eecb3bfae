"""The lock file: what pip reports, with a hash each."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[3] / ".ci" / "lock.py"


@pytest.fixture(scope="module")
def lock():
    spec = importlib.util.spec_from_file_location("lock", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reported(name, version, **download):
    return {"metadata": {"name": name, "version": version}, "download_info": {"url": "…"} | download}


def test_each_package_has_its_version_and_hash_and_no_address(lock):
    hashes = {"archive_info": {"hashes": {"sha256": "ab" * 32}}}
    report = {"install": [reported("redis", "8.1.0", **hashes), reported("Flask", "3.1.3", **hashes)]}
    assert lock.lines(report) == [
        f"Flask==3.1.3 --hash=sha256:{'ab' * 32}",
        f"redis==8.1.0 --hash=sha256:{'ab' * 32}",
    ]


def test_a_package_without_a_hash_is_refused(lock):
    with pytest.raises(ValueError, match=r"no SHA-256 sum of redis 8\.1\.0"):
        lock.lines({"install": [reported("redis", "8.1.0", dir_info={})]})
