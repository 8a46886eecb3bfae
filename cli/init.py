"""`init`: from nothing to a working set of tokens, key, credential, client and list."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from pathlib import Path

import click
from cryptography.fernet import Fernet

import settings as settings_module
from cli.output import say
from listbridge import authorizations
from listbridge.campaign_monitor import ApiKey, CampaignMonitor
from listbridge.context import build
from listbridge.store.data_directory import write_private
from listbridge.store.embedded import opened
from settings import DEFAULT_ENV_FILE, PREFIX, Settings, parse


@click.command()
@click.option("--env-file", type=click.Path(dir_okay=False, path_type=Path), help="Default: listbridge.env.")
@click.option(
    "--description", default="Campaign Monitor", show_default=True, help="What the credential is called."
)
@click.option("--api-key", help="Better left out: it is asked for without echo.")
@click.option("--client", help="The client's name; asked for when there are several.")
@click.option("--list", "list_", help="The list's name; asked for.")
@click.option(
    "--public-url", default=None, help="Where Campaign Monitor reaches this machine; empty for none."
)
def init(
    env_file: Path | None,
    description: str,
    api_key: str | None,
    client: str | None,
    list_: str | None,
    public_url: str | None,
) -> None:
    """Make tokens and keys, store an API key, and check that it works."""
    path = env_file or Path(os.environ.get(f"{PREFIX}ENV_FILE", DEFAULT_ENV_FILE))
    held = settings_module.load(env_file=path)
    made = _secrets(held, public_url)
    key = (api_key or click.prompt("Campaign Monitor API key", hide_input=True)).strip()
    api = CampaignMonitor(ApiKey(key), base_url=made.api_base_url)
    client_id, client_name = _pick("client", {c.client_id: c.name for c in api.clients()}, client)
    list_id, list_name = _pick("list", {each.list_id: each.name for each in api.lists(client_id)}, list_)
    details = api.client(client_id).basic_details
    _write(path, made)
    with opened(made) as url:
        context = build(made, url)
        authorizations.put(
            context.store, context.secrets, secret=key, description=description, base_url=made.api_base_url
        )
    say(f"The key works: client {client_name!r} ({details.time_zone}), list {list_name!r} ({list_id}).")
    say(f"Tokens and keys are in {path}; keep it private. Next:")
    prefix = "" if path == Path(DEFAULT_ENV_FILE) else f"{PREFIX}ENV_FILE={path} "
    say(f"  {prefix}listbridge up")
    place = f'--client "{client_name}" --list "{list_name}"'
    say(f"  {prefix}listbridge import create {place} --keep-updated")
    say(f"  {prefix}listbridge export create {place} --audience AUDIENCE --consent-to-track Unchanged")


def _secrets(held: Settings, public_url: str | None) -> Settings:
    """The settings with what was missing made; what there is already stays."""
    if public_url is None and not held.public_url:
        public_url = click.prompt(
            "Public URL for webhooks (empty: none, lists are polled)", default="", show_default=False
        )
    return replace(
        held,
        api_tokens=held.api_tokens or (secrets.token_urlsafe(32),),
        encryption_keys=held.encryption_keys or (Fernet.generate_key().decode(),),
        public_url=parse("PUBLIC_URL", public_url or held.public_url),
    )


def _pick(what: str, known: dict[str, str], wanted: str | None) -> tuple[str, str]:
    """Choose by name among what the account holds."""
    if not known:
        raise click.ClickException(f"the account has no {what}")
    names = {name.casefold(): each for each, name in known.items()} | {each: each for each in known}
    while wanted is None or wanted.casefold() not in names:
        if wanted is None and len(known) == 1:
            wanted = next(iter(known))
            break
        if wanted is not None:
            say(f"There is no {what} {wanted!r}.")
        for name in known.values():
            say(f"  {name}")
        wanted = click.prompt(f"Which {what}?")
    chosen = names[wanted.casefold()]
    return chosen, known[chosen]


def _write(path: Path, made: Settings) -> None:
    """Add what is ours to the file, readable by its owner only; other lines stay."""
    ours = {
        f"{PREFIX}API_TOKENS": ",".join(made.api_tokens),
        f"{PREFIX}ENCRYPTION_KEYS": ",".join(made.encryption_keys),
        f"{PREFIX}PUBLIC_URL": made.public_url,
    }
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if line.partition("=")[0].strip() not in ours]
    text = "\n".join([*kept, *(f"{name}={value}" for name, value in ours.items() if value)]) + "\n"
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from error
