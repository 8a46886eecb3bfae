"""What is read back: profiles, sizes of audiences, health."""

import msgspec
import pytest
import redis

from listbridge.aggregation.fold import Folder
from listbridge.aggregation.kinds import rfc3339
from listbridge.mappings.sources import MappingText, with_files
from listbridge.mappings.versions import activate, active, plan
from listbridge.store import keys

EVENTS = "/v1/audiences/events"


def enter(email, audience, at="2026-01-02T03:04:05Z"):
    return {"email": email, "audience": audience, "event": "enter", "timestamp": at}


@pytest.fixture
def told(client, api_context):
    """Sends events and folds them."""

    def tell(*events):
        assert client.post(EVENTS, json={"events": list(events)}).status_code == 202
        Folder(api_context.store, api_context.programs).run()

    return tell


def test_a_profile_is_shown_as_users_know_it(client, told):
    told(enter("Ada@Example.com", "vip"), enter("ada@example.com", "gold", "2026-01-02T03:04:05.250Z"))
    assert client.get("/v1/profiles/ADA@example.com").json == {
        "key": "ada@example.com",
        "fields": {"email": "ada@example.com", "email_domain": "example.com"},
        "audiences": ["gold", "vip"],
        "updated_at": "2026-01-02T03:04:05.250Z",
    }


@pytest.mark.parametrize(
    "path",
    ["ada+news@example.com", "ada%2Bnews@example.com", "ada%2bnews%40example.com", "ADA+NEWS%40EXAMPLE.COM"],
)
def test_an_address_may_be_percent_encoded(client, told, path):
    told(enter("ada+news@example.com", "vip"))
    assert client.get(f"/v1/profiles/{path}").json["key"] == "ada+news@example.com"


@pytest.mark.parametrize("path", ["o/brien@example.com", "o%2Fbrien@example.com"])
def test_an_address_may_hold_a_slash(client, told, path):
    told(enter("o/brien@example.com", "vip"))
    assert client.get(f"/v1/profiles/{path}").json["key"] == "o/brien@example.com"


@pytest.mark.parametrize("path", ["ada@example.com", "nobody", "%FF", "a%00b@example.com", "//", "a b"])
def test_who_is_unknown_is_not_found(client, path):
    answer = client.get(f"/v1/profiles/{path}")
    assert (answer.status_code, answer.json["error"]["message"]) == (404, "nothing is known of this address")


def test_a_damaged_profile_is_made_anew_from_the_streams(client, told, fake_store):
    told(enter("ada@example.com", "vip"))
    whole = client.get("/v1/profiles/ada@example.com").json
    fake_store.client.hset(fake_store.part("ada@example.com").profiles, "ada@example.com", b"\0\0\0\0damaged")
    assert client.get("/v1/profiles/ada@example.com").json == whole


@pytest.mark.parametrize(
    "slug", ["vip", "very important", "grüße", "a/b", "50% off", "x//y", "events", "?", "/", "a+b"]
)
def test_any_audience_name_can_be_asked_for(client, told, slug):
    told(enter("ada@example.com", slug), enter("bob@example.com", slug), enter("bob@example.com", "other"))
    quoted = "".join(f"%{byte:02X}" for byte in slug.encode())
    assert client.get(f"/v1/audiences/{quoted}").json == {"audience": slug, "size": 2}
    listed = {each["audience"]: each["size"] for each in client.get("/v1/audiences").json["audiences"]}
    assert listed == {slug: 2, "other": 1}


def test_an_audience_that_nobody_is_in_has_size_0(client):
    assert client.get("/v1/audiences/none").json == {"audience": "none", "size": 0}
    assert client.get("/v1/audiences").json == {"audiences": []}


def test_health_is_ok_without_a_token(anonymous):
    answer = anonymous.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "checks": {"store": "ok"}})


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("redis://:secret@host"),
        redis.TimeoutError("secret"),
        redis.ResponseError("MISCONF"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_health_says_what_fails_and_nothing_secret(anonymous, break_store, error):
    break_store(error)
    answer = anonymous.get("/healthz")
    assert answer.status_code == 503
    assert answer.json == {"status": "failing", "checks": {"store": type(error).__name__}}


def test_the_active_mappings_are_shown_with_since_when_each_field_counts(client, fake_store):
    columns = 'email(email) AS email KIND string, city AS town KIND string SHORTDESC "Town"'
    own = f"SELECT {columns} FROM cm_activity INTO USER BY email ALIAS own"
    texts = (*with_files([]), MappingText("own", "own.lql", own))
    made = activate(fake_store, plan(fake_store, texts))

    shown = client.get("/v1/mapping").json

    fields = {each.pop("field"): each for each in shown["fields"]}
    assert (shown["version"], shown["activated_at"]) == (2, rfc3339(made.activated_at))
    assert fields["cm_openct"]["since"] is None
    assert fields["town"] == {
        "kind": "string",
        "operation": "latest",
        "cap": None,
        "streams": ["cm_activity"],
        "description": "Town",
        "since": rfc3339(made.activated_at),
    }


def test_mappings_that_this_release_can_not_use_are_said_to_be_that(client, fake_store):
    held = active(fake_store)
    texts = tuple(
        msgspec.structs.replace(each, text=each.text.replace("FROM", "FORM")) for each in held.texts
    )
    fake_store.client.hset(keys.MAPPING, "1", msgspec.json.encode(msgspec.structs.replace(held, texts=texts)))

    answer = client.get("/v1/mapping")

    assert answer.status_code == 500
    assert "can't be used by this release" in answer.json["error"]["message"]


def test_a_misspelt_wish_erases_nobody(client, told):
    told(enter("ada@example.com", "vip"))
    refused = client.delete("/v1/profiles/ada@example.com?delete_from_list=1")
    assert (refused.status_code, refused.json["error"]["faults"][0]["path"]) == (422, "?delete_from_list")
    assert client.get("/v1/profiles/ada@example.com").status_code == 200
