"""The command's entry: all groups and commands."""

from __future__ import annotations

import click

from cli.accounts import authorization, clients, lists
from cli.archive import archive
from cli.backups import backup, restore
from cli.demo.command import demo
from cli.doctor import doctor
from cli.forget import forget, list_erasures
from cli.imports import import_
from cli.init import init
from cli.mapping_versions import apply, history, save
from cli.mappings import mapping
from cli.people import audience
from cli.profiles import profiles
from cli.runtime import Group
from cli.status import status
from cli.streams import stream
from cli.up import simulate, up
from cli.workflows import export, workflow
from listbridge import __version__


@click.group(cls=Group)
@click.version_option(__version__, prog_name="listbridge")
def main() -> None:
    """Keep audiences and a Campaign Monitor account in step, both ways."""


for version_command in (apply, history, save):
    mapping.add_command(version_command)

profiles.add_command(list_erasures)
main.add_command(click.Group("profile", commands=profiles.commands, help=profiles.help, hidden=True))
for command in (
    init,
    up,
    demo,
    simulate,
    authorization,
    clients,
    lists,
    audience,
    export,
    import_,
    workflow,
    profiles,
    forget,
    mapping,
    stream,
    archive,
    status,
    doctor,
    backup,
    restore,
):
    main.add_command(command)
