"""The lock files: every package with its version and the sums of all its files."""

import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def lock():
    spec = importlib.util.spec_from_file_location("lock", ROOT / ".ci" / "lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def file(name, letter, **more):
    return {"filename": name, "url": "…", "hashes": {"sha256": letter * 64}} | more


def test_a_package_has_its_version_the_sums_of_its_files_and_no_address(lock, tmp_path):
    page = {
        "files": [
            file("redis-8.1.0.tar.gz", "b"),
            file("redis-8.1.0-py3-none-any.whl", "a"),
            file("redis-8.1.0-cp311-cp311-win32.whl", "c", yanked="broken"),
            file("redis-8.0.9.tar.gz", "d"),
            file("redis-8.1.0.exe", "e"),
        ]
    }
    lock.write(tmp_path / "a.lock", {"redis": "8.1.0"}, {"redis": page}.__getitem__)
    assert (tmp_path / "a.lock").read_text() == (
        f"redis==8.1.0 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n"
    )


def test_a_version_that_the_registry_does_not_have_is_refused(lock):
    with pytest.raises(ValueError, match=r"no file of redis 8\.1\.0"):
        lock.line("redis", "8.1.0", {"files": [file("redis-8.0.9.tar.gz", "d")]})


def versions(*names):
    text = "".join((ROOT / name).read_text() for name in names)
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def test_the_lock_files_hold_the_versions_of_the_constraints_and_all_that_is_asked_for():
    locked = versions("requirements.lock", "requirements-dev.lock")
    constraints = versions("constraints.txt")
    assert {name: constraints.get(name) for name in locked} == locked
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = told["build-system"]["requires"] + told["project"]["dependencies"]
    asked += told["project"]["optional-dependencies"]["dev"]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", each)[0]).lower() for each in asked}
    assert names <= locked.keys()


def test_every_package_of_the_lock_files_has_a_sum():
    for name in ("requirements.lock", "requirements-dev.lock"):
        for each in re.split(r"\n(?=\S)", (ROOT / name).read_text().strip()):
            assert re.fullmatch(r"\S+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+", each), each


def test_what_another_python_or_system_needs_is_found(lock):
    packages = [
        {
            "name": "redis",
            "requires_dist": [
                'async-timeout>=4.0.3; python_full_version < "3.11.3"',
                'macpipe>=1; sys_platform == "darwin"',
                'colorama; sys_platform == "win32"',
                'old; python_version < "3.11"',
                'PyJWT>=2; extra == "jwt"',
                "Amqp<6",
            ],
        },
        {"name": "amqp"},
    ]
    assert lock.elsewhere(packages) == ["async-timeout>=4.0.3", "macpipe>=1"]


def test_the_lock_files_hold_what_each_package_needs_with_another_python_or_system(lock):
    """Pip takes nothing without a sum, so one package that is missing there stops the installation."""
    packages = [
        {"name": name, "requires_dist": importlib.metadata.requires(name) or []}
        for name in versions("requirements.lock", "requirements-dev.lock").keys() - {"async-timeout"}
    ]
    locked = versions("requirements.lock", "requirements-dev.lock")
    missing = {re.match(r"[\w.-]+", each)[0].lower() for each in lock.elsewhere(packages)}
    assert missing <= locked.keys()
