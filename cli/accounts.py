"""`authorization`, `clients`, `lists`: the accounts that we may act on and what they hold."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import click

from cli import choosing
from cli.output import json_option, say, show_fields, show_rows
from cli.runtime import context, fail, settings
from listbridge import authorizations
from listbridge.aggregation.kinds import rfc3339
from listbridge.campaign_monitor import ApiKey, CampaignMonitor, connecting
from listbridge.workflows import service

authorization_option = click.option(
    "--authorization",
    "authorization",
    metavar="NAME",
    help="Its id or description; not needed when there is one.",
)
client_option = click.option("--client", "client", metavar="NAME", help="The client's id or name.")


@click.group()
def authorization() -> None:
    """The credentials of the accounts that Listbridge acts on."""


@authorization.command("add")
@click.option("--description", required=True, help="What you will call it.")
@click.option("--api-key", prompt="Campaign Monitor API key", hide_input=True, help="Asked for without echo.")
@json_option
def add(description: str, api_key: str, as_json: bool) -> None:
    """Store an API key, after checking that it works."""
    held = settings()
    api = CampaignMonitor(ApiKey(api_key.strip()), base_url=held.api_base_url)
    names = [each.name for each in api.clients()]
    with context() as ctx:
        made = authorizations.create(
            ctx.store,
            ctx.secrets,
            secret=api_key.strip(),
            description=description,
            base_url=held.api_base_url,
        )
    show_fields({"id": made.id, "description": made.description, "clients": names}, as_json=as_json)


@authorization.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show the authorizations, without their secrets."""
    with context() as ctx:
        rows = [
            a.public() | {"created_at": rfc3339(a.created_at)} for a in authorizations.list_all(ctx.store)
        ]
    columns = {
        "id": "ID",
        "description": "DESCRIPTION",
        "kind": "SYSTEM",
        "credential": "BY",
        "created_at": "CREATED",
    }
    show_rows(rows, columns, as_json=as_json, empty="No authorization yet: `listbridge authorization add`.")


@authorization.command("check")
@click.argument("name", required=False)
@json_option
def check(name: str | None, as_json: bool) -> None:
    """See whether an authorization works, and what it shows."""
    with context() as ctx:
        held, api = choosing.api_of(ctx, name)
        found = {"id": held.id, "description": held.description, "account_time": api.system_date()}
        show_fields(found | {"clients": [each.name for each in api.clients()]}, as_json=as_json)


@authorization.command("change-key")
@click.argument("name")
@click.option("--api-key", prompt="Campaign Monitor API key", hide_input=True, help="Asked for without echo.")
def change_key(name: str, api_key: str) -> None:
    """Put another API key in the place of one that was revoked, after checking that it works."""
    with context() as ctx:
        held = choosing.authorization(ctx, name)
        CampaignMonitor(ApiKey(api_key.strip()), base_url=held.base_url).clients()
        authorizations.change_key(ctx.store, ctx.secrets, held.id, api_key.strip())
    say(f"{held.description!r} has the new key; resume what failed with `listbridge workflow resume`")


@authorization.command("connect")
@click.option(
    "--description", required=True, help="What you will call it; an existing one is connected anew."
)
@click.option("--client-id", required=True, help="Of the application that you registered.")
@click.option("--client-secret", prompt="The application's client secret", hide_input=True)
@click.option("--redirect-uri", default="", help="Where the application sends people; default: our own.")
def connect(description: str, client_id: str, client_secret: str, redirect_uri: str) -> None:
    """Connect an account by OAuth, with an application of your own.

    Somebody who may grant access opens the address that is printed. With LISTBRIDGE_PUBLIC_URL they are
    brought back to us, and it is done; otherwise paste the address that they end at into
    `listbridge authorization finish`.
    """
    with context() as ctx:
        url, _ = connecting.begin(
            ctx,
            description=description,
            client_id=client_id.strip(),
            client_secret=client_secret.strip(),
            redirect_uri=redirect_uri,
        )
    say("Open this within 15 minutes, and allow access:")
    say(url)


@authorization.command("finish")
@click.argument("address")
def finish(address: str) -> None:
    """Finish `connect` with the address that the browser ended at."""
    answer = dict(parse_qsl(urlsplit(address).query))
    if "error" in answer:
        fail(f"access was not granted: {answer['error']}")
    if not answer.get("code") or not answer.get("state"):
        fail("the address has no `code` and `state`: paste all of it, in quotes")
    with context() as ctx:
        made = connecting.finish(ctx, answer["state"], answer["code"])
        names = [each.name for each in choosing.api_of(ctx, made.id)[1].clients()]
    show_fields({"id": made.id, "description": made.description, "clients": names}, as_json=False)


@authorization.command("delete")
@click.argument("name")
def delete(name: str) -> None:
    """Forget an authorization that no workflow uses."""
    with context() as ctx:
        held = choosing.authorization(ctx, name)
        service.delete_authorization(ctx, held.id)
    say(f"{held.description!r} is deleted")


@click.command()
@authorization_option
@json_option
def clients(authorization: str | None, as_json: bool) -> None:
    """The clients of an account."""
    with context() as ctx:
        _, api = choosing.api_of(ctx, authorization)
        rows = [{"id": each.client_id, "name": each.name} for each in api.clients()]
    show_rows(rows, {"id": "ID", "name": "NAME"}, as_json=as_json, empty="The account has no client.")


@click.command()
@client_option
@authorization_option
@json_option
def lists(client: str | None, authorization: str | None, as_json: bool) -> None:
    """The lists of a client, with how many people are active and have left."""
    with context() as ctx:
        _, api = choosing.api_of(ctx, authorization)
        rows = []
        for each in api.lists(choosing.client_id(api, client)):
            stats = api.list_stats(each.list_id)
            rows.append(
                {
                    "id": each.list_id,
                    "name": each.name,
                    "active": stats.total_active_subscribers,
                    "unsubscribed": stats.total_unsubscribes,
                    "bounced": stats.total_bounces,
                    "deleted": stats.total_deleted,
                }
            )
    columns = {n: n.upper() for n in ("id", "name", "active", "unsubscribed", "bounced", "deleted")}
    show_rows(rows, columns, as_json=as_json, empty="The client has no list.")
