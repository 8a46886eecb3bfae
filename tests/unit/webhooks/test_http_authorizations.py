import dataclasses

import pytest

from listbridge.secrets import Secrets
from webhooks.app import create_app
from webhooks.authorizations import checked_url
from webhooks.errors import Refusal

URL = "/v1/authorizations"
KEY = "0123456789abcdef0123456789abcdef"


def faults(answer):
    return [(fault["path"], fault["message"]) for fault in answer.json["error"]["faults"]]


def test_a_credential_is_stored_encrypted_and_never_shown(client, fake_store, api_context):
    made = client.post(URL, json={"description": "an account", "api_key": KEY})
    assert made.status_code == 201
    shown = dict(made.json)
    assert shown.pop("created_at").endswith("Z")
    identity = shown.pop("id")
    assert shown == {
        "kind": "campaign_monitor",
        "credential": "api_key",
        "description": "an account",
        "base_url": api_context.settings.api_base_url,
    }
    answers = [made, client.get(URL), client.get(f"{URL}/{identity}")]
    held = fake_store.client.get(f"lb:authorization:{identity}")
    assert KEY.encode() not in held
    assert all(KEY not in each.text and "secret" not in each.text for each in answers)
    assert answers[1].json == {"authorizations": [made.json]}
    assert answers[2].json == made.json


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        (None, True),
        ("https://api.createsend.com/api/v3.3", True),
        ("https://api.createsend.com/api/v3.3/", True),
        ("https://eu.createsend.com/api/v3.3", True),
        ("https://createsend.com:443/api/v3.3", True),
        ("https://other.example.org/api", False),
        ("https://127.0.0.1/api", False),
        ("https://[::1]/api", False),
        ("https://169.254.169.254/latest", False),
        ("https://api.createsend.com.evil.example/api", False),
        ("https://evilcreatesend.com/api", False),
        ("https://api.createsend.com@evil.example/api", False),
        ("https://evil.example/?api.createsend.com", False),
        ("https://evil.example/#.createsend.com", False),
        ("https://evil.example\\.createsend.com/api", False),
        ("https://api.createsend.com:6379/api", False),
        ("http://api.createsend.com/api/v3.3", False),
        ("http://127.0.0.1:6379/", False),
        ("http://metadata.internal/", False),
        ("ftp://example.org/", False),
        ("nonsense", False),
        (5, False),
    ],
)
def test_a_key_is_sent_only_where_it_is_safe(client, url, taken):
    answer = client.post(URL, json={"description": "x", "api_key": KEY, "base_url": url})
    assert answer.status_code == (201 if taken else 422)
    if not taken:
        assert [path for path, _ in faults(answer)] == ["$.base_url"]


@pytest.mark.parametrize("letter", ["\\", ";", "%2f", "%23", "$", "'", "_"])
def test_a_host_that_could_be_read_as_another_is_refused_by_itself(letter):
    """Whatever the schema before it lets through."""
    with pytest.raises(Refusal):
        checked_url(f"https://evil.example{letter}.createsend.com/api", "http://127.0.0.1:1/api")


def test_the_configured_address_is_taken_even_when_it_is_not_encrypted(make_app, api_settings):
    url = "http://127.0.0.1:8090/api/v3.3"
    client = make_app(api_base_url=url).test_client()
    headers = {"Authorization": f"Bearer {api_settings.api_tokens[0]}"}
    for base_url in (None, url):
        body = {"description": "x", "api_key": KEY, "base_url": base_url}
        assert client.post(URL, json=body, headers=headers).json["base_url"] == url


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["$.api_key", "$.description"]),
        ({"description": "", "api_key": ""}, ["$.api_key", "$.description"]),
        ({"description": "x", "api_key": KEY, "secret": "y"}, ["$.secret"]),
        ([], ["$"]),
    ],
)
def test_a_wrong_credential_is_told_by_its_fields(client, body, paths):
    answer = client.post(URL, json=body)
    assert (answer.status_code, sorted(path for path, _ in faults(answer))) == (422, paths)
    assert KEY not in answer.text


def test_a_credential_in_use_is_not_deleted(client, export, authorization_id):
    workflow = client.post("/v1/workflows", json=export).json["id"]
    answer = client.delete(f"{URL}/{authorization_id}")
    assert answer.status_code == 409
    assert workflow in answer.json["error"]["message"]
    client.delete(f"/v1/workflows/{workflow}")
    assert client.delete(f"{URL}/{authorization_id}").status_code == 204
    assert client.get(f"{URL}/{authorization_id}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_credential_is_not_found(client, method):
    assert client.open(f"{URL}/none", method=method).status_code == 404


def test_without_an_encryption_key_nothing_is_stored_and_the_remedy_is_told(api_context):
    client = create_app(dataclasses.replace(api_context, secrets=Secrets(()))).test_client()
    headers = {"Authorization": f"Bearer {api_context.settings.api_tokens[0]}"}
    answer = client.post(URL, json={"description": "x", "api_key": KEY}, headers=headers)
    assert answer.status_code == 500
    assert "LISTBRIDGE_ENCRYPTION_KEYS" in answer.json["error"]["message"]
    assert client.get(URL, headers=headers).json == {"authorizations": []}
