"""Rejections, retries and removal over HTTP, of an export to a simulated list."""

import pytest

from webhooks.app import create_app

ANN, BOB, CAT = "ann@example.com", "bob@example.com", "cat@example.com"


@pytest.fixture
def rung():
    return []


@pytest.fixture
def client(export, rung):
    found = create_app(export.context, lambda: None, ring_deliver=rung.append).test_client()
    found.environ_base["HTTP_AUTHORIZATION"] = "Bearer a-token-for-the-tests"
    return found


@pytest.fixture
def only(export):
    """Ann is delivered, Bob and Cat are refused as unsubscribed."""
    made = export.create("vip")
    for person in (BOB, CAT):
        export.act("subscribe", person)
        export.act("unsubscribe", person)
    export.happen(*(("enter", person, "vip") for person in (ANN, BOB, CAT)))
    export.deliver()
    return made.id


def test_who_is_refused_is_listed_page_by_page(client, only):
    path = f"/v1/workflows/{only}/rejections"

    first = client.get(path, query_string={"count": 1}).json
    second = client.get(path, query_string={"count": 1, "after": first["next"]}).json

    assert [each["email"] for each in first["rejections"] + second["rejections"]] == [BOB, CAT]
    assert (first["next"], second["next"]) == (BOB, None)
    assert first["rejections"][0]["code"] == "unsubscribed"


def test_a_code_that_is_none_is_refused(client, only):
    path = f"/v1/workflows/{only}/rejections"
    answers = (client.get(path, query_string={"code": "x"}), client.post(f"{path}/retry", json={"code": "x"}))
    for answer in answers:
        assert answer.status_code == 422
        assert "'x' is no code. In this list: unsubscribed (2)" in answer.text


@pytest.mark.parametrize(
    ("query", "people"),
    [
        ({"code": "unsubscribed"}, 2),
        ({"code": "1"}, 0),
        ({"since": "2099-01-01T00:00:00Z"}, 0),
        ({"since": "2001-01-01T00:00:00+02:00"}, 2),
        ({"since": "0001-01-01T00:00:00+14:00"}, 2),
    ],
)
def test_rejections_are_filtered(client, only, query, people):
    path = f"/v1/workflows/{only}/rejections"
    assert len(client.get(path, query_string=query).json["rejections"]) == people
    assert client.post(f"{path}/retry", json=query).json == {"people": people}


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"count": 0}])
def test_a_query_that_can_not_be_is_refused(client, only, query):
    assert client.get(f"/v1/workflows/{only}/rejections", query_string=query).status_code == 422


def test_a_retry_rings_for_a_delivery_that_resubscribes_nobody(client, only, export, rung):
    path = f"/v1/workflows/{only}/rejections/retry"

    assert client.post(path, json={"code": "1"}).json == {"people": 0}
    assert rung == []
    assert client.post(path, json={}).json == {"people": 2}
    assert rung == [export.list.list_id]

    export.deliver_until_rest()
    assert export.held(BOB) == "Unsubscribed"
    assert export.account.added_after_opt_out == []


def test_leftovers_are_shown_and_removed_only_when_the_id_is_said_again(client, only, export):
    found = client.get(f"/v1/workflows/{only}/leftovers").json
    assert (found["options"], list(found["segments"])) == (["vip"], ["vip"])

    path = f"/v1/workflows/{only}/remove"
    refused = client.post(path, json={"confirm": "yes", "cleanup": ["segments"]})
    assert refused.status_code == 409
    assert client.post(path, json={"confirm": only, "cleanup": ["everything"]}).status_code == 422
    assert len(export.list.segments) == 1

    done = client.post(path, json={"confirm": only, "cleanup": ["segments", "field"]})

    assert done.status_code == 200, done.json
    assert done.json["problems"] == []
    assert (len(export.list.segments), export.list.fields) == (0, [])
    assert client.get(f"/v1/workflows/{only}").status_code == 404
