"""Every door has a lock: what each protected route does with every kind of caller."""

import pytest

from listbridge.store.store import Store
from tests.unit.webhooks.conftest import TOKENS

INVALID = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Basic {TOKENS[0]}",
    f"Token {TOKENS[0]}",
    "Bearer wrong",
    f"Bearer {TOKENS[0]}x",
    f"Bearer {TOKENS[0][:-1]}",
    f"Bearer {','.join(TOKENS)}",
    "Bearer \xff",
]


class BearerDoor:
    """What holds for a route that needs a token. A subclass says which route it is."""

    method: str
    path: str

    def test_a_caller_without_a_valid_token_is_refused(self, anonymous):
        for header in INVALID:
            headers = {} if header is None else {"Authorization": header}
            answer = anonymous.open(self.path, method=self.method, headers=headers, data=b"{")
            assert answer.status_code == 401, header
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), header
            assert answer.json["error"]["status"] == 401, header

    def test_each_configured_token_opens(self, anonymous):
        for token in TOKENS:
            headers = {"Authorization": f"Bearer {token}"}
            assert anonymous.open(self.path, method=self.method, headers=headers).status_code != 401, token

    def test_no_configured_token_opens_to_nobody_and_says_what_to_set(self, make_app):
        client = make_app(api_tokens=()).test_client()
        answer = client.open(self.path, method=self.method, headers={"Authorization": "Bearer "})
        assert answer.status_code == 401
        assert "LISTBRIDGE_API_TOKENS" in answer.json["error"]["message"]

    def test_nothing_of_the_body_is_read_before_the_token(self, anonymous):
        class Unread:
            def read(self, *_):
                raise AssertionError("the body was read")

        environ = {"wsgi.input": Unread(), "CONTENT_LENGTH": "10", "CONTENT_TYPE": "application/json"}
        answer = anonymous.open(self.path, method=self.method, environ_overrides=environ)
        assert answer.status_code == 401


class TestPatchWorkflow(BearerDoor):
    method, path = "PATCH", "/v1/workflows/w1"


class TestPostEvents(BearerDoor):
    method, path = "POST", "/v1/audiences/events"


class TestListAudiences(BearerDoor):
    method, path = "GET", "/v1/audiences"


class TestGetAudience(BearerDoor):
    method, path = "GET", "/v1/audiences/vip"


class TestGetProfile(BearerDoor):
    method, path = "GET", "/v1/profiles/ada@example.com"


class TestForgetProfile(BearerDoor):
    method, path = "DELETE", "/v1/profiles/ada@example.com"


class TestGetMapping(BearerDoor):
    method, path = "GET", "/v1/mapping"


class TestCreateAuthorization(BearerDoor):
    method, path = "POST", "/v1/authorizations"


class TestListAuthorizations(BearerDoor):
    method, path = "GET", "/v1/authorizations"


class TestGetAuthorization(BearerDoor):
    method, path = "GET", "/v1/authorizations/a1"


class TestDeleteAuthorization(BearerDoor):
    method, path = "DELETE", "/v1/authorizations/a1"


class TestCreateWorkflow(BearerDoor):
    method, path = "POST", "/v1/workflows"


class TestListWorkflows(BearerDoor):
    method, path = "GET", "/v1/workflows"


class TestGetWorkflow(BearerDoor):
    method, path = "GET", "/v1/workflows/w1"


class TestDeleteWorkflow(BearerDoor):
    method, path = "DELETE", "/v1/workflows/w1"


class TestPauseWorkflow(BearerDoor):
    method, path = "POST", "/v1/workflows/w1/pause"


class TestConfirmZone(BearerDoor):
    method, path = "POST", "/v1/workflows/w1/confirm-zone"


class TestRotateToken(BearerDoor):
    method, path = "POST", "/v1/workflows/w1/rotate-token"


class TestResumeWorkflow(BearerDoor):
    method, path = "POST", "/v1/workflows/w1/resume"


class TestStopWorkflow(BearerDoor):
    method, path = "POST", "/v1/workflows/w1/stop"


class TestReadLog(BearerDoor):
    method, path = "GET", "/v1/workflows/w1/log"


class TestAskAboutAPerson(BearerDoor):
    method, path = "GET", "/v1/workflows/w1/people/ada@example.com"


class TestPlan(BearerDoor):
    method, path = "GET", "/v1/workflows/w1/plan"


class TestDrift(BearerDoor):
    method, path = "GET", "/v1/workflows/w1/drift"


class TestImportPlan(BearerDoor):
    method, path = "GET", "/v1/workflows/w1/import-plan"


class TestRejections(BearerDoor):
    method, path = "GET", "/v1/workflows/w1/rejections"


class TestRetryRejections(BearerDoor):
    method, path = "POST", "/v1/workflows/w1/rejections/retry"


class TestLeftovers(BearerDoor):
    method, path = "GET", "/v1/workflows/w1/leftovers"


class TestRemove(BearerDoor):
    method, path = "POST", "/v1/workflows/w1/remove"


class TestConnect(BearerDoor):
    method, path = "POST", "/v1/authorizations/connect"


class TestMetrics(BearerDoor):
    method, path = "GET", "/metrics"


def test_a_token_for_metrics_opens_metrics_and_nothing_else(make_app):
    client = make_app(metrics_tokens=("a-token-for-metrics",)).test_client()
    headers = {"Authorization": "Bearer a-token-for-metrics"}
    assert client.get("/metrics", headers=headers).status_code == 200
    assert client.get("/v1/workflows", headers=headers).status_code == 401


class TestOpenApiDocument(BearerDoor):
    method, path = "GET", "/v1/openapi.json"


class TestUnknownPath(BearerDoor):
    """Who has no token doesn't even learn which paths there are."""

    method, path = "GET", "/v1/nothing-here"


OPEN = {("GET", "/healthz"), ("GET", "/oauth/campaign-monitor/callback")}
LOCKED_BY_ITS_OWN_TOKEN = "/webhooks/"


def test_every_route_has_a_door_here_or_is_open_on_purpose(app):
    routes = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods}
    locked = {
        (method, rule)
        for method, rule in routes - OPEN
        if method not in ("HEAD", "OPTIONS") and not rule.startswith(LOCKED_BY_ITS_OWN_TOKEN)
    }
    adapter = app.url_map.bind("")
    doors = [door for door in BearerDoor.__subclasses__() if door is not TestUnknownPath]
    tested = {
        (door.method, adapter.match(door.path, door.method, return_rule=True)[0].rule) for door in doors
    }
    assert tested == locked


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "path", ["w1/wrong", "w1/righ", "w1/right ", "w2/right", "w1/%C3%A9", "w" * 2000 + "/right"]
)
def test_an_unknown_webhook_and_an_unknown_token_are_refused_alike(anonymous, import_receiver, method, path):
    answer = anonymous.open(f"/webhooks/campaign-monitor/{path}", method=method, data=b"{")
    assert answer.status_code == 401
    if method != "HEAD":
        assert answer.json == {"error": {"status": 401, "message": "no webhook is received at this address"}}


@pytest.mark.parametrize("token", ["right", "older"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_valid_token_of_a_webhook_opens(anonymous, import_receiver, method, token):
    path = import_receiver.replace("right", token)
    assert anonymous.open(path, method=method).status_code == 200


def test_an_unknown_token_leaves_nothing_in_the_store(anonymous, fake_store: Store):
    before = set(fake_store.client.keys())
    anonymous.post("/webhooks/campaign-monitor/w9/x", json={"ListID": "l1", "Events": []})
    assert set(fake_store.client.keys()) == before
