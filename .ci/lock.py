"""Write `requirements.lock` and `requirements-dev.lock`: what Listbridge needs to run, and what its tests and
linters need besides, each package with its version and the SHA-256 sums of all its files.

The versions are those of `constraints.txt`, so that the files hold for every machine that the registry has
files for; what a package needs only with another Python or on another of the `SYSTEMS` is in them, too. The
registry is the one that pip is set to by `PIP_INDEX_URL`, or pip's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import requests
from pip._internal.models.index import PyPI
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

ROOT = Path(__file__).resolve().parents[1]
RUN, DEV = "requirements.lock", "requirements-dev.lock"
INDEX = os.environ.get("PIP_INDEX_URL") or PyPI.simple_url
PYTHONS = ("3.11.0", "3.11.99", "3.12.0", "3.13.0", "3.14.0")
SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}

Page = Mapping[str, Any]


def pinned(wanted: Iterable[str]) -> dict[str, str]:
    """Package -> version, of all that pip would install for these requirements, on any machine."""
    asked = list(wanted)
    while True:
        packages = [each["metadata"] for each in resolved(asked)["install"]]
        found = {each["name"]: each["version"] for each in packages}
        more = elsewhere(packages)
        if not more:
            return dict(sorted(found.items(), key=lambda each: each[0].lower()))
        asked += more


def resolved(wanted: Iterable[str]) -> dict[str, Any]:
    """Pip's report of what it would install here."""
    with tempfile.TemporaryDirectory() as directory:
        asked, told = Path(directory, "wanted.txt"), Path(directory, "report.json")
        asked.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--dry-run", "--ignore-installed", "--report", str(told), "--requirement", str(asked)]
        subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt")], check=True)
        return dict(json.loads(told.read_text(encoding="utf-8")))


def elsewhere(packages: Iterable[Mapping[str, Any]]) -> list[str]:
    """What these packages (their metadata) need on other machines only, and is not among them."""
    packages = list(packages)
    here = {canonicalize_name(each["name"]) for each in packages}
    needed = [Requirement(text) for each in packages for text in each.get("requires_dist", ())]
    return sorted(
        {
            f"{each.name}{each.specifier}"
            for each in needed
            if _is_needed(each) and canonicalize_name(each.name) not in here
        }
    )


def _is_needed(requirement: Requirement) -> bool:
    """Does it hold anywhere, without any extra?"""
    return requirement.marker is None or any(
        requirement.marker.evaluate(
            {
                "python_version": ".".join(python.split(".")[:2]),
                "python_full_version": python,
                "platform_system": system,
                "sys_platform": platform,
                "extra": "",
            }
        )
        for python in PYTHONS
        for system, platform in SYSTEMS.items()
    )


def page_of(name: str) -> Page:
    """What the registry tells of a package: see the standard "simple repository API", in JSON."""
    answer = requests.get(f"{INDEX.rstrip('/')}/{canonicalize_name(name)}/", headers=JSON, timeout=60)
    answer.raise_for_status()
    return dict(answer.json())


def line(name: str, version: str, page: Page) -> str:
    """The package with the sums of all files of its version. Raises `ValueError` when there are none."""
    sums = sorted(
        each["hashes"]["sha256"]
        for each in page["files"]
        if _version(each["filename"]) == version and not each.get("yanked")
    )
    if not sums:
        raise ValueError(
            f"the registry has no file of {name} {version}: is the version in constraints.txt right?"
        )
    return " \\\n".join([f"{name}=={version}", *(f"    --hash=sha256:{each}" for each in sums)])


def _version(filename: str) -> str:
    try:
        if filename.endswith(".whl"):
            return str(parse_wheel_filename(filename)[1])
        return str(parse_sdist_filename(filename)[1])
    except (InvalidSdistFilename, InvalidWheelFilename):
        return ""


def write(path: Path, packages: Mapping[str, str], page: Callable[[str], Page] = page_of) -> None:
    """Write a lock file of these packages (name -> version)."""
    lines = [line(name, version, page(name)) for name, version in packages.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name}: {len(lines)} packages\n")


def main() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*told["build-system"]["requires"], *told["project"]["dependencies"]]
    run = pinned(wanted)
    every = pinned([*wanted, *told["project"]["optional-dependencies"]["dev"]])
    write(ROOT / RUN, run)
    write(ROOT / DEV, {name: version for name, version in every.items() if name not in run})


if __name__ == "__main__":
    main()
