import dataclasses
from pathlib import Path

import pytest

import settings as settings_module
from listbridge import context
from listbridge.aggregation import MappingError
from listbridge.context import load_program
from listbridge.mappings.versions import is_established
from listbridge.store.store import StoreError
from settings import SettingsError

OWN = """
SELECT email(email) AS email KIND string, city AS {field} KIND string
FROM cm_activity INTO USER BY email ALIAS {alias}
"""


def load(directory):
    return load_program(settings_module.load({"LISTBRIDGE_MAPPINGS_DIR": str(directory)}))


def put(directory: Path, name: str, field: str, alias: str) -> None:
    (directory / name).write_text(OWN.format(field=field, alias=alias), encoding="utf-8")


def test_without_a_directory_the_shipped_mappings_are_used(shipped_program):
    assert {"cm_openct", "cm_list_ids_status", "audiences"} <= shipped_program.fields.keys()


def test_a_file_adds_to_the_shipped_mappings(tmp_path, shipped_program):
    put(tmp_path, "mine.lql", "home", "mine")

    assert load(tmp_path).fields.keys() == shipped_program.fields.keys() | {"home"}


def test_a_file_replaces_the_shipped_mapping_of_its_alias(tmp_path):
    put(tmp_path, "mine.lql", "home", "cm_activity_default")

    found = load(tmp_path).fields.keys()
    assert {"home", "audiences"} <= found
    assert "cm_openct" not in found


def test_two_files_of_one_alias_are_refused(tmp_path):
    put(tmp_path, "a.lql", "home", "mine")
    put(tmp_path, "b.lql", "work", "mine")

    with pytest.raises(MappingError, match=r"ALIAS mine, which .*a\.lql has already"):
        load(tmp_path)


def test_other_files_are_left_alone(tmp_path, shipped_program):
    (tmp_path / "README.md").write_text("not a mapping")

    assert load(tmp_path).fields.keys() == shipped_program.fields.keys()


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        SettingsError, match=r"LISTBRIDGE_MAPPINGS_DIR holds .*nowhere.*a directory of \.lql files"
    ):
        load(tmp_path / "nowhere")


def test_a_context_is_built_on_the_store_of_its_url(app_settings, store_server, store, shipped_program):
    built = context.build(app_settings, store_server)

    assert built.store.client.ping()
    assert built.program.fields.keys() == shipped_program.fields.keys()
    assert built.secrets.decrypt(built.secrets.encrypt("x")) == "x"
    built.store.client.close()


def test_the_directory_is_read_for_an_empty_store_only_and_a_difference_is_said(
    app_settings, store_server, store, tmp_path
):
    own = dataclasses.replace(app_settings, mappings_dir=str(tmp_path))
    put(tmp_path, "mine.lql", "home", "mine")
    first = context.build(own, store_server)
    assert "home" in first.program.fields
    assert context.unapplied(own, first.store) == ""

    put(tmp_path, "mine.lql", "work", "mine")
    second = context.build(own, store_server)
    assert "work" not in second.program.fields
    said = context.unapplied(own, second.store)
    assert "differ from version 1, which is active (home, work): `listbridge mapping apply`" in said

    (tmp_path / "mine.lql").write_text("SELECT")
    third = context.build(own, store_server)
    assert "home" in third.program.fields
    assert "version 1 stays active" in context.unapplied(own, third.store)
    for built in (first, second, third):
        built.store.client.close()


def test_a_broken_file_is_no_first_version(app_settings, store_server, store, tmp_path):
    (tmp_path / "mine.lql").write_text("SELECT")

    with pytest.raises(MappingError, match=r"mine\.lql:1:7"):
        context.build(dataclasses.replace(app_settings, mappings_dir=str(tmp_path)), store_server)

    assert not is_established(store)


def test_no_context_is_built_on_a_store_of_another_layout(store, store_server):
    other = settings_module.load({"LISTBRIDGE_PARTITIONS": "4"})

    with pytest.raises(StoreError, match="created with 16 partitions"):
        context.build(other, store_server)
