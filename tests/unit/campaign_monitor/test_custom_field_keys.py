import pytest

from listbridge.campaign_monitor import field_key


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
