"""Write `requirements.lock`: all that Listbridge needs here, with the hashes of what pip would install.

Hashes are of files, and files are made for one Python and one kind of machine, so this is run where the
installation is to be; `constraints.txt` pins the versions for all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"


def lines(report: dict[str, Any]) -> list[str]:
    """A line for each package of pip's report, by name. Raises `ValueError` for one without a hash."""
    found = []
    for each in report["install"]:
        name, version = each["metadata"]["name"], each["metadata"]["version"]
        sha256 = each["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if sha256 is None:
            raise ValueError(f"pip tells no SHA-256 sum of {name} {version}: it is no file of a registry")
        found.append(f"{name}=={version} --hash=sha256:{sha256}")
    return sorted(found, key=str.lower)


def main(extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    with tempfile.TemporaryDirectory() as directory:
        asked, told = Path(directory, "wanted.txt"), Path(directory, "report.json")
        asked.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--dry-run", "--ignore-installed", "--report", str(told), "--requirement", str(asked)]
        subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt")], check=True)
        made = lines(json.loads(told.read_text(encoding="utf-8")))
    (ROOT / LOCK).write_text("\n".join(made) + "\n", encoding="utf-8")
    sys.stdout.write(f"{LOCK}: {len(made)} packages\n")


if __name__ == "__main__":
    main(sys.argv[1:])
