"""The settings of a new export: from options, and from a file of JSON that holds the rich ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
CONSENTS = click.Choice(["Yes", "No", "Unchanged"])

_OPTIONS = (
    click.option("--list", "list_", metavar="NAME", help="The list's id or name."),
    click.option("--audience", "audiences", multiple=True, help="An audience; may be given often."),
    click.option(
        "--label", "labels", multiple=True, metavar="AUDIENCE=LABEL", help="What the list calls it."
    ),
    click.option("--field-name", help="The audience field.  [default: Lytics Audiences]"),
    click.option(
        "--segments/--no-segments", default=None, help="A segment for each audience.  [default: segments]"
    ),
    click.option(
        "--existing-users", is_flag=True, default=None, help="Also those who are in the audience already."
    ),
    click.option(
        "--resubscribe",
        type=click.Choice(["never", "when_opted_in_later", "always"]),
        help="Who opted out is added again; always: after the number of people is confirmed.  "
        "[default: never]",
    ),
    click.option(
        "--queue-autoresponders",
        is_flag=True,
        default=None,
        help="For people who are added; not on a backfill.",
    ),
    click.option(
        "--queue-autoresponders-on-backfill",
        is_flag=True,
        default=None,
        help="Also for people of a backfill.",
    ),
    click.option(
        "--restart-autoresponders", is_flag=True, default=None, help="For people who are resubscribed."
    ),
    click.option(
        "--mode", type=click.Choice(["upsert", "update_only", "add_only"]), help="[default: upsert]"
    ),
    click.option(
        "--on-exit",
        type=click.Choice(["update_field", "unsubscribe", "nothing"]),
        help="For who leaves.  [default: update_field; with add_only: nothing]",
    ),
    click.option(
        "--unsubscribe-from-all-lists",
        is_flag=True,
        default=None,
        help="Unsubscribe even where that means all lists of the client.",
    ),
    click.option(
        "--opt-out-scope",
        type=click.Choice(["list", "client"]),
        help="client: who unsubscribes from any list of the client is unsubscribed here.  [default: list]",
    ),
    click.option("--email-field", help="The profile field that holds the address.  [default: email]"),
    click.option("--name-field", help="The profile field that holds the name."),
    click.option(
        "--map",
        "maps",
        multiple=True,
        metavar="FIELD=CUSTOM FIELD",
        help="Profile field to custom field; types and more in --config.",
    ),
    click.option(
        "--template",
        "templates",
        multiple=True,
        metavar="CUSTOM FIELD=TEXT",
        help="A text for a custom field; {name} stands for a profile field.",
    ),
    click.option(
        "--create-fields", is_flag=True, default=None, help="Make mapped custom fields that the list lacks."
    ),
    click.option(
        "--consent-to-track",
        type=CONSENTS,
        help="Required, here or in --config. Unchanged means consent for a new address.",
    ),
    click.option("--consent-to-track-field", help="The profile field that goes before --consent-to-track."),
    click.option("--mobile-field", help="The profile field that holds the mobile number."),
    click.option("--mobile-region", help="Country of numbers without a prefix, such as SE."),
    click.option("--consent-to-sms", type=CONSENTS, help="Sent with mobile numbers."),
    click.option("--consent-to-sms-field", help="The profile field that goes before --consent-to-sms."),
    click.option(
        "--config",
        "config_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="JSON with the settings, as POST /v1/workflows takes them; options go before it.",
    ),
)


def export_options(command: F) -> F:
    """Give a command every option of an export."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def config_of(
    config_file: Path | None,
    *,
    audiences: tuple[str, ...],
    labels: tuple[str, ...],
    maps: tuple[str, ...],
    templates: tuple[str, ...],
    **options: Any,
) -> dict[str, Any]:
    """The settings as given: the file's, then what options say. Raises `click.BadParameter`."""
    config = _read(config_file) if config_file else {}
    config |= {name: value for name, value in options.items() if value is not None}
    if audiences:
        config["audiences"] = list(audiences)
    for name, option, values in (
        ("labels", "--label", labels),
        ("field_mappings", "--map", maps),
        ("templates", "--template", templates),
    ):
        if values:
            given = config.get(name) or {}
            config[name] = {**(given if isinstance(given, Mapping) else {}), **pairs(values, option)}
    if "audiences" not in config:
        raise click.UsageError("say which audience with --audience, or in --config")
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise click.BadParameter(f"{path} is not JSON: {problem}", param_hint="--config") from None
    if not isinstance(found, dict):
        raise click.BadParameter(f"{path} holds no object", param_hint="--config")
    return found


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """`a=b` options as a map."""
    pairs = dict(value.partition("=")[::2] for value in values)
    if wrong := [value for value in values if "=" not in value]:
        raise click.BadParameter(f"{wrong[0]!r} has no '='", param_hint=option)
    return pairs
