"""The OpenAPI document: complete, and without a reference that leads nowhere."""

import json
import re
from pathlib import Path

import marshmallow
import pytest

DOCS = Path(__file__).parents[3] / "docs" / "http.md"


@pytest.fixture
def document(client):
    answer = client.get("/v1/openapi.json")
    assert answer.status_code == 200
    return answer.json


def operations(document):
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            yield method.upper(), path, item[method]


def routes(app):
    """Method and path of every route; Flask adds HEAD and OPTIONS by itself."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


def test_it_says_what_it_is(document):
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "Listbridge"
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}


def test_every_route_is_in_it_and_nothing_else(document, app):
    assert {(method, path) for method, path, _ in operations(document)} == routes(app)


def test_every_reference_leads_somewhere(document):
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert found


def test_every_operation_has_a_summary_its_parameters_and_an_error(document):
    for method, path, operation in operations(document):
        place = f"{method} {path}"
        assert operation["summary"], place
        named = {p["name"] for p in document["paths"][path].get("parameters", []) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), place
        assert any(status.startswith("2") for status in operation["responses"]), place
        assert "default" in operation["responses"] or "503" in operation["responses"], place


def test_only_health_receivers_and_who_comes_back_from_oauth_need_no_bearer_token(document):
    assert document["security"] == [{"token": []}]
    open_paths = {path for _, path, operation in operations(document) if operation.get("security") == []}
    assert open_paths == {
        "/healthz",
        "/oauth/campaign-monitor/callback",
        "/webhooks/campaign-monitor/{workflow_id}/{token}",
    }


@pytest.mark.parametrize(
    ("method", "path", "schema"),
    [
        ("post", "/v1/audiences/events", "AudienceEvents"),
        ("post", "/webhooks/campaign-monitor/{workflow_id}/{token}", "Delivery"),
        ("post", "/v1/workflows", "NewWorkflow"),
        ("post", "/v1/authorizations", "Authorization"),
    ],
)
def test_bodies_are_described_by_what_validates_them(document, method, path, schema):
    content = document["paths"][path][method]["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": f"#/components/schemas/{schema}"}
    assert schema in document["components"]["schemas"]


def test_events_are_described_by_the_structs_that_decode_them(document):
    schemas = document["components"]["schemas"]
    assert set(schemas["AudienceEvent"]["required"]) == {"email", "audience", "event", "timestamp"}
    assert schemas["AudienceEvent"]["additionalProperties"] is False
    assert set(schemas["Told"]["required"]) == {"Type", "Date", "EmailAddress"}


def test_a_definition_is_one_of_the_two_configs(document):
    schemas = document["components"]["schemas"]
    assert schemas["NewWorkflow"]["properties"]["config"]["oneOf"] == [
        {"$ref": "#/components/schemas/ExportConfig"},
        {"$ref": "#/components/schemas/ImportConfig"},
    ]
    assert schemas["ExportConfig"]["required"] == [
        "audiences",
        "client_id",
        "consent_to_track",
        "list_id",
    ]


def test_the_event_paths_use_no_marshmallow(client, import_receiver, monkeypatch):
    def slow(*_, **__):
        raise AssertionError("marshmallow was used")

    for name in ("load", "dump", "validate"):
        monkeypatch.setattr(marshmallow.Schema, name, slow)
    assert client.post("/v1/audiences/events", json={"events": []}).status_code == 202
    assert client.post(import_receiver, json={"ListID": "l1", "Events": []}).status_code == 200


def test_the_documentation_names_every_route(app):
    written = set(re.findall(r"`(GET|POST|PATCH|DELETE) (/[^`? ]*)", DOCS.read_text(encoding="utf-8")))
    assert {(method, path) for method, path in written} == routes(app)
