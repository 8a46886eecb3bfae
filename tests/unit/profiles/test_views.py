"""Fields are made when they are asked for, and look as if all had been made at once."""

import pytest

from listbridge.aggregation import view
from listbridge.profiles.codec import Profile
from listbridge.profiles.membership import FIELD
from listbridge.profiles.views import fields_of, profile_view

AT = 1_700_000_000_000


@pytest.fixture
def profile(shipped_program):
    numbers = {name: definition.number for name, definition in shipped_program.fields.items()}
    return Profile(AT, {numbers["email"]: (AT, AT, "ann@x.se"), numbers[FIELD]: {"vip": (AT, AT, "enter")}})


def test_the_audiences_stand_beside_the_fields(shipped_program, profile):
    shown = profile_view(shipped_program, "ann@x.se", profile)

    assert shown["fields"] == {"email": "ann@x.se"}
    assert shown["audiences"] == ["vip"]


def test_fields_are_those_that_have_a_state(shipped_program, profile):
    fields = fields_of(shipped_program, profile)

    assert dict(fields) == {
        name: value for name, value in view(shipped_program, profile.states).items() if name != FIELD
    }
    assert len(fields) == 1
    assert fields.get("cm_openct", "never set") == "never set"
    assert FIELD not in fields
    with pytest.raises(KeyError, match="no_such_field"):
        fields["no_such_field"]
