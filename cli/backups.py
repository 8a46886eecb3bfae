"""`backup` and `restore`: a copy of the store, and how it comes back."""

from __future__ import annotations

from pathlib import Path

import click

from cli.output import json_option, say, show_json
from cli.runtime import errors, settings
from cli.stores import open_store
from listbridge.aggregation.kinds import rfc3339
from listbridge.backup import making, restoring

DIRECTORY = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))


@click.command()
@DIRECTORY
@json_option
def backup(directory: Path, as_json: bool) -> None:
    """Copy the store into a new DIRECTORY, while everything runs.

    It is the store at one moment: profiles, streams, what lists were told, workflows, credentials as they are
    encrypted. The keys of encryption, the settings and the archive are not in it.
    """
    with open_store() as store:
        made = making.make(store, directory)
    if as_json:
        show_json({"directory": str(directory), **_told(made)})
        return
    say(f"{directory}: {made.people:,} profiles, {made.workflows} workflows, {made.size / 1e6:,.1f} MB,")
    say(f"as of {rfc3339(made.taken_at)}. Keep LISTBRIDGE_ENCRYPTION_KEYS elsewhere: credentials need them.")


@click.command()
@DIRECTORY
@json_option
def restore(directory: Path, as_json: bool) -> None:
    """Bring a backup back into an empty store, with everything paused.

    The store must not run. Afterwards every workflow waits for you: a restored store knows fewer opt-outs
    than the lists.
    """
    found = restoring.restore(settings(), directory, errors.print)
    if as_json:
        show_json({"paused": found.paused, **_told(found.manifest)})
        return
    at = rfc3339(found.manifest.taken_at)
    say(f"restored as of {at}: {found.manifest.people:,} profiles; {len(found.paused)} workflows are paused.")
    say("What came in after that time is not known: have it sent again. Then, in this order:")
    for line in NEXT:
        say(f"  {line}")


NEXT = (
    "listbridge up                                          starts everything; nothing is sent",
    "listbridge workflow resume ID --acknowledge restored   each import: reads who opted out since",
    "listbridge export reconcile ID                         each export: reads its list, learns who left it",
    "listbridge export plan ID                              what it would send again",
    "listbridge workflow resume ID --acknowledge restored   each export, when that is right",
)


def _told(manifest: making.Manifest) -> dict[str, object]:
    return {
        "taken_at": rfc3339(manifest.taken_at),
        "people": manifest.people,
        "workflows": manifest.workflows,
        "bytes": manifest.size,
        "sha256": manifest.sha256,
    }
