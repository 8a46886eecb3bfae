"""Profile values as fields take them: tables."""

import pytest

from listbridge.exports.values import Unfit, consent, e164, filled, fitted, template_fields

COUNTRIES = ("Australia", "Sweden")


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ("Text", "x", "x"),
        ("Text", 3, "3"),
        ("Text", ["a", "b"], "a, b"),
        ("Text", "", None),
        ("Text", [], None),
        ("Text", None, None),
        ("Number", 3, "3"),
        ("Number", -2.5, "-2.5"),
        ("Number", 1e-7, "0.0000001"),
        ("Number", " 12 ", "12"),
        ("Number", "n/a", Unfit("'n/a' is no number")),
        ("Number", "1,200", Unfit("'1,200' is no number")),
        ("Number", True, Unfit("'true' is no number")),
        ("Number", ["1", "2"], Unfit("2 values for a field that takes one")),
        ("Date", "2015-09-17T21:45:07.043Z", "2015-09-17"),
        ("Date", "2015/9/7", "2015-09-07"),
        ("Date", "1900-01-01", "1900-01-01"),
        ("Date", "2076-06-06", "2076-06-06"),
        ("Date", "1899-12-31", Unfit("1899-12-31 is outside 1900-01-01 to 2076-06-06")),
        ("Date", "2076-06-07", Unfit("2076-06-07 is outside 1900-01-01 to 2076-06-06")),
        ("Date", "2015-02-30", Unfit("'2015-02-30' is no day; yyyy-mm-dd is")),
        ("Date", "soon", Unfit("'soon' is no day; yyyy-mm-dd is")),
        ("MultiSelectMany", ["b", "a", "b"], ("b", "a")),
        ("MultiSelectMany", "a", "a"),
        ("MultiSelectOne", ["a"], "a"),
        ("MultiSelectOne", ["a", "b"], Unfit("2 values for a field that takes one")),
        ("Country", "sweden", "Sweden"),
        ("Country", "Norge", "Norge"),
        ("", ["a", "b"], ("a", "b")),
    ],
)
def test_a_value_is_sent_as_its_field_takes_it(kind, value, sent):
    assert fitted(value, kind, COUNTRIES) == sent


def test_a_long_value_is_shown_short():
    assert fitted("9" * 50 + "x" * 50, "Number") == Unfit(f"{'9' * 50 + 'x' * 10 + '…'!r} is no number")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("from us", "from us"),
        ("{town}: {trips}", "Paris: 3"),
        ("{{{town}}}", "{Paris}"),
        ("{tier}", "gold"),
        ("{towns}", "Lyon, Nice"),
        ("{town} {nothing}", None),
        ("{empty}", None),
    ],
)
def test_a_template_is_filled_or_is_no_value(template, text):
    fields = {
        "town": "Paris",
        "trips": 3,
        "towns": ["Lyon", "Nice"],
        "empty": "",
        "attributes": {"tier": "gold"},
    }
    assert filled(template, fields) == text


@pytest.mark.parametrize("template", ["{", "}", "{}", "{town!r}", "{town:>5}", "{ }"])
def test_a_template_with_anything_but_names_in_braces_is_wrong(template):
    with pytest.raises(ValueError, match=r"."):
        template_fields(template)


@pytest.mark.parametrize(
    ("value", "region", "sent"),
    [
        ("+46 70-123 45 67", None, "+46701234567"),
        ("070-123 45 67", "SE", "+46701234567"),
        ("0046701234567", "SE", "+46701234567"),
        (46701234567, "SE", "+46701234567"),
        ("", "SE", None),
        (None, "SE", None),
        (["+46701234567"], "SE", None),
    ],
)
def test_a_mobile_number_becomes_e164(value, region, sent):
    assert e164(value, region) == sent


@pytest.mark.parametrize(("value", "region"), [("070-123 45 67", None), ("n/a", "SE"), ("+46 7", None)])
def test_what_is_no_mobile_number_is_said(value, region):
    found = e164(value, region)
    assert isinstance(found, Unfit)
    assert "phone number" in found.words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("yes", "Yes"),
        (True, "Yes"),
        ("1", "Yes"),
        ("NO", "No"),
        (False, "No"),
        ("unchanged", "Unchanged"),
        ("perhaps", "otherwise"),
        (None, "otherwise"),
    ],
)
def test_a_consent_is_read_or_is_as_the_export_says(value, said):
    assert consent(value, "otherwise") == said
