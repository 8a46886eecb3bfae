"""The settings of a new export from options and a file."""

import json

import click
import pytest
from click.testing import CliRunner

from cli.export_options import config_of, export_options


@click.command()
@export_options
def command(list_, config_file, **options):
    config = config_of(config_file, **options)
    click.echo(json.dumps(config | {"list": list_}))


def run(*arguments):
    return CliRunner().invoke(command, arguments)


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "export.json"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_only_what_is_given_is_set_so_that_the_schema_has_the_defaults():
    assert json.loads(run("--audience", "vip").stdout) == {"audiences": ["vip"], "list": None}


def test_options_become_settings():
    made = run(
        "--list", "News", "--audience", "vip", "--label", "vip=VIP", "--mode", "add_only",
        "--consent-to-track", "No", "--consent-to-track-field", "tracking", "--map", "town=City",
        "--template", "Origin=a=b", "--create-fields", "--no-segments", "--mobile-field", "m",
    )  # fmt: skip
    assert json.loads(made.stdout) == {
        "list": "News",
        "audiences": ["vip"],
        "labels": {"vip": "VIP"},
        "mode": "add_only",
        "consent_to_track": "No",
        "consent_to_track_field": "tracking",
        "field_mappings": {"town": "City"},
        "templates": {"Origin": "a=b"},
        "create_fields": True,
        "segments": False,
        "mobile_field": "m",
    }


def test_options_go_before_the_file_and_maps_join(file):
    path = file(
        '{"audiences": ["a"], "mode": "upsert", "existing_users": true,'
        ' "field_mappings": {"born": {"field": "Born", "type": "Date"}, "town": "Town"}}'
    )
    made = json.loads(run("--config", path, "--mode", "update_only", "--map", "town=City").stdout)
    assert (made["audiences"], made["mode"], made["existing_users"]) == (["a"], "update_only", True)
    assert made["field_mappings"] == {"born": {"field": "Born", "type": "Date"}, "town": "City"}


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is not JSON"), ("[]", "holds no object"), ("{}", "say which audience")]
)
def test_a_file_that_is_no_config_is_said(file, text, words):
    made = run("--config", file(text))
    assert made.exit_code == 2
    assert words in made.output


def test_a_map_without_an_equals_sign_is_said():
    made = run("--audience", "vip", "--map", "town")
    assert made.exit_code == 2
    assert "'town' has no '='" in made.output
