"""A user's mappings must keep the fields that exports read."""

import pytest

from listbridge.context import load_program
from settings import Settings, SettingsError

AUDIENCE = """
SELECT email(email) AS email KIND STRING{columns}
FROM audience INTO USER BY email ALIAS audience_default
"""


def program_of(tmp_path, columns):
    (tmp_path / "audience.lql").write_text(AUDIENCE.format(columns=columns))
    return load_program(Settings(mappings_dir=str(tmp_path)))


def test_a_mapping_that_leaves_out_the_audiences_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"need the field audiences.*leave it out"):
        program_of(tmp_path, "")


def test_a_mapping_that_makes_something_else_of_the_audiences_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="need the field audiences"):
        program_of(tmp_path, ", set(audience) AS audiences KIND []string")


def test_a_mapping_that_keeps_them_and_adds_a_field_is_taken(tmp_path):
    columns = """
      , map(audience, event) AS audiences KIND map[string]string
      , fields AS attributes KIND map[string]string
      , max(opted_in_at) AS opted_in_at KIND DATE
      , count(event) AS audience_moves KIND INT
    """
    assert "audience_moves" in program_of(tmp_path, columns).fields
