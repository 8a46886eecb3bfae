import pytest

from listbridge.campaign_monitor import custom_fields, field_key


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        ("[LyticsAudiences]", "lyticsaudiences"),
        ("Lytics Audiences", "lyticsaudiences"),
        ("subscription date", "subscriptiondate"),
        ("[subscriptiondate]", "subscriptiondate"),
        ("[alert_list_csv]", "alert_list_csv"),
        ("website", "website"),
        ("  [web site] ", "website"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("[]", ""),
        ("", ""),
    ],
)
def test_all_spellings_of_a_fields_key_are_one(spelling, key):
    assert field_key(spelling) == key
    assert field_key(field_key(spelling)) == key


def test_only_short_keys_are_remembered():
    """Whoever posts to a webhook writes the keys: they may not fill the memory."""
    long = "Long Key " * 40
    before = custom_fields._short_key.cache_info().currsize

    assert field_key(long) == "longkey" * 40
    assert not hasattr(field_key, "cache_info")
    assert custom_fields._short_key.cache_info().currsize == before
