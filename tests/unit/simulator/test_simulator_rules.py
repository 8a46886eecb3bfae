"""The rules of writing subscribers: matrix, values, keys, checks."""

import pytest

from simulator import subscribing, values
from simulator.account import CustomField
from simulator.errors import ERRORS, ApiError
from simulator.subscribing import refusal
from simulator.switches import Switches

INTERESTS = CustomField("Interests", "[Interests]", "MultiSelectMany", ["a", "b", "c"])
TIER = CustomField("Tier", "[Tier]", "MultiSelectOne", ["gold", "silver"])
BORN = CustomField("Date of birth", "[Dateofbirth]", "Date", [])
TRIPS = CustomField("Trips", "[Trips]", "Number", [])
SITE = CustomField("web site", "[website]", "Text", [])
FIELDS = [INTERESTS, TIER, BORN, TRIPS, SITE]


@pytest.mark.parametrize(
    ("state", "suppressed", "honours", "resubscribe", "code"),
    [
        (None, False, True, False, None),
        ("Active", False, True, False, None),
        ("Unsubscribed", False, True, False, 206),
        ("Deleted", False, True, False, 205),
        ("Bounced", False, True, False, 207),
        ("Unconfirmed", False, True, False, 208),
        ("Unsubscribed", True, True, False, 204),
        ("Active", True, True, False, 204),
        ("Unsubscribed", True, False, False, 206),
        ("Active", True, False, False, None),
        (None, True, True, False, None),
        *[
            (state, True, True, True, None)
            for state in (None, "Active", "Unsubscribed", "Deleted", "Bounced", "Unconfirmed")
        ],
    ],
)
def test_the_resubscribe_matrix(state, suppressed, honours, resubscribe, code):
    found = refusal(
        state,
        suppressed=suppressed,
        honours_suppression=honours,
        resubscribe=resubscribe,
        switches=Switches(),
    )
    assert found == code


def test_a_suppressed_stranger_is_refused_when_the_switch_says_so():
    switches = Switches(suppressed_never_in_list="204")
    found = refusal(None, suppressed=True, honours_suppression=True, resubscribe=False, switches=switches)
    assert found == 204


def entry(key, value="", clear=False):
    return {"key": key, "value": value, "clear": clear}


@pytest.mark.parametrize(
    ("held", "entries", "expected"),
    [
        ([], [entry("[Interests]", "a"), entry("interests", "c")], ["a", "c"]),
        (["a"], [entry("[Interests]", "b")], ["b"]),
        (["a", "b"], [entry("[Interests]", "b", clear=True)], ["a"]),
        (["a", "b"], [entry("[Interests]", "", clear=True)], []),
        (["a", "b"], [entry("[Interests]", "c"), entry("[Interests]", "b", clear=True)], ["c"]),
        (["a", "b"], [entry("[Interests]", "", clear=True), entry("[Interests]", "c")], ["c"]),
        (["a"], [entry("[Interests]", "")], ["a"]),
        (["a"], [entry("[Interests]", "no option")], ["a"]),
        (["a"], [entry("[Unknown]", "b")], ["a"]),
        (["a"], [], ["a"]),
    ],
)
def test_many_values_are_replaced_cleared_or_left(held, entries, expected):
    written = {"[Interests]": held} if held else {}
    values.write(FIELDS, written, entries, values.ValueRules())
    assert written.get("[Interests]", []) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("[Interests]", "b")], ["a", "b"]),
        ([entry("[Interests]", "b"), entry("[Interests]", "a", clear=True)], ["b"]),
    ],
)
def test_an_import_may_append_many_values(entries, expected):
    written = {"[Interests]": ["a"]}
    values.write(FIELDS, written, entries, values.ValueRules(append=True))
    assert written["[Interests]"] == expected


def test_an_absent_key_may_empty_a_field_of_many_values_and_no_other():
    written = {"[Interests]": ["a"], "[Tier]": ["gold"]}
    values.write(FIELDS, written, [], values.ValueRules(clear_absent=True))
    assert written == {"[Tier]": ["gold"]}


@pytest.mark.parametrize(
    ("key", "sent", "stored"),
    [
        ("[Tier]", "gold", ["gold"]),
        ("[Tier]", "bronze", ["old"]),
        ("[Dateofbirth]", "1980/2/9", ["1980-02-09"]),
        ("Date of birth", "1980-02-09", ["1980-02-09"]),
        ("[Dateofbirth]", "1899/12/31", ["old"]),
        ("[Dateofbirth]", "2076/06/07", ["old"]),
        ("[Dateofbirth]", "0000-00-00", []),
        ("[Dateofbirth]", "yesterday", ["old"]),
        ("[Trips]", "24", ["24"]),
        ("[Trips]", "many", ["old"]),
        ("web site", "x" * 251, ["x" * 250]),
        ("[website]", "", ["old"]),
    ],
)
def test_a_field_stores_what_its_type_accepts(key, sent, stored):
    field = next(one for one in FIELDS if values.fold_key(one.key) == values.fold_key(key))
    written = {field.key: ["old"]}
    values.write(FIELDS, written, [entry(key, sent)], values.ValueRules())
    assert written.get(field.key, []) == stored


def test_clear_empties_a_single_value():
    written = {"[website]": ["x"]}
    values.write(FIELDS, written, [entry("website", "", clear=True)], values.ValueRules())
    assert written == {}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Newsletter Format", "[NewsletterFormat]"),
        ("subscription date", "[subscriptiondate]"),
        ("alert_list_csv", "[alert_list_csv]"),
    ],
)
def test_a_key_is_the_name_without_spaces(name, key):
    assert values.derive_key(name) == key


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"emailaddress": "a@example.org", "consenttotrack": "yes"}, None),
        ({"emailaddress": "a+b@example.org", "consenttotrack": "Unchanged"}, None),
        ({"emailaddress": "a@example", "consenttotrack": "yes"}, 1),
        ({"emailaddress": "é@example.org", "consenttotrack": "yes"}, 1),
        ({"emailaddress": "", "consenttotrack": "yes"}, 1),
        ({"emailaddress": "a@example.org"}, -213),
        ({"emailaddress": "a@example.org", "consenttotrack": ""}, -213),
        ({"emailaddress": "a@example.org", "consenttotrack": "maybe"}, 215),
        ({"emailaddress": "a@example.org", "consenttotrack": "No", "mobilenumber": "12"}, 220),
        ({"emailaddress": "a", "consenttotrack": "No", "mobilenumber": "12"}, 221),
        ({"emailaddress": "a@example.org", "consenttotrack": "No", "mobilenumber": "+61491570156"}, None),
    ],
)
def test_a_row_is_checked_before_anything_is_written(row, code):
    if code is None:
        assert subscribing.check_row(row) == row["emailaddress"]
    else:
        with pytest.raises(ApiError) as caught:
            subscribing.check_row(row)
        assert caught.value.code == code


def test_an_error_puts_its_result_data_first():
    assert list(ApiError(210, {}).body()) == ["ResultData", "Code", "Message"]
    assert ApiError(102).body() == {"Code": 102, "Message": "Invalid ClientID"}


@pytest.mark.parametrize(
    ("code", "status"), [(1, 400), (100, 401), (102, 401), (404, 404), (429, 429), (-213, 400)]
)
def test_the_http_status_of_a_code(code, status):
    assert ERRORS[code][0] == status
