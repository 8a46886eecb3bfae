"""Connecting a simulated account by OAuth, and tokens that are renewed while many use them."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from click.testing import CliRunner

import settings as settings_module
from cli.main import main
from listbridge import authorizations
from listbridge.campaign_monitor import NetworkProblem, connecting, oauth, tokens
from listbridge.campaign_monitor.errors import AccessWithdrawn
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.systems import account_of, campaign_monitor_client
from simulator.server import SimulatorServer
from webhooks.app import create_app

PUBLIC = "https://bridge.example.com"
APPLICATION = {"description": "By OAuth", "client_id": "1234", "client_secret": "application-secret"}
DAY = 86_400


@pytest.fixture
def server():
    with SimulatorServer(people=3) as running:
        yield running


@pytest.fixture
def ours(context, server):
    """A context whose API is the simulator, with short timeouts."""
    return replace(
        context,
        settings=replace(
            context.settings,
            api_base_url=server.api_url,
            public_url=PUBLIC,
            api_connect_timeout_seconds=0.5,
            api_read_timeout_seconds=1.0,
        ),
    )


@pytest.fixture
def web(ours):
    return create_app(ours, lambda: None).test_client()


def granted(url):
    """What the browser is sent back to once a person has allowed access."""
    answer = requests.get(url, allow_redirects=False, timeout=5)
    assert answer.status_code == 302
    return answer.headers["Location"]


@pytest.fixture
def connected(ours):
    """An authorization by OAuth."""
    url, state = connecting.begin(ours, **APPLICATION)
    (code,) = parse_qs(urlsplit(granted(url)).query)["code"]
    return connecting.finish(ours, state, code)


@pytest.fixture
def clock(monkeypatch):
    """Our clock, which a test moves; the simulator's is moved by itself."""

    class Ours:
        ahead_ms = 0

        def __call__(self):
            return real() + self.ahead_ms

    real, made = tokens.now_ms, Ours()
    monkeypatch.setattr(tokens, "now_ms", made)
    return made


def client_of(context, authorization):
    return campaign_monitor_client(context, authorizations.get(context.store, authorization.id))


def refreshes(server):
    return server.simulator.tokens._given


def later(server, seconds):
    server.account.clock.advance(seconds)


def test_a_person_who_grants_access_comes_back_and_the_account_is_connected(web, ours, server):
    headers = {"Authorization": "Bearer a-token-for-the-tests"}
    begun = web.post("/v1/authorizations/connect", json=APPLICATION, headers=headers)
    assert begun.status_code == 201
    asked = parse_qs(urlsplit(begun.json["authorize_url"]).query)
    assert asked["scope"] == ["ManageLists,ImportSubscribers,ViewReports,ViewSubscribersInReports"]
    assert asked["redirect_uri"] == [f"{PUBLIC}/oauth/campaign-monitor/callback"]

    back = urlsplit(granted(begun.json["authorize_url"]))
    page = web.get(f"{back.path}?{back.query}")

    assert (page.status_code, page.text) == (200, "'By OAuth' is connected. You can close this window.\n")
    (made,) = authorizations.list_all(ours.store)
    assert (made.credential, made.description) == ("oauth", "By OAuth")
    assert [each.name for each in client_of(ours, made).clients()] == [
        each.name for each in server.account.clients.values()
    ]
    again = web.get(f"{back.path}?{back.query}")
    assert (again.status_code, "begin again" in again.text) == (400, True)


def test_nothing_that_was_stored_shows_a_secret(ours, connected):
    client = ours.store.client
    held = b"".join(
        client.get(name) or b"" for name in client.scan_iter("lb:*") if client.type(name) == b"string"
    )
    assert b"access-" not in held
    assert b"refresh-" not in held
    assert APPLICATION["client_secret"].encode() not in held
    assert "secret" not in connected.public()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("error=access_denied&state=STATE", "not granted: 'access_denied'"),
        ("code=code-9-000009&state=STATE", "invalid or expired"),
        ("code=x&state=guessed", "begin again"),
        ("code=x", "begin again"),
        ("error=%3Cscript%3Ealert(1)%3C/script%3E", "not granted"),
    ],
)
def test_who_comes_back_with_something_else_connects_nothing(web, ours, query, words):
    _, state = connecting.begin(ours, **APPLICATION)
    page = web.get(f"/oauth/campaign-monitor/callback?{query.replace('STATE', state)}")

    assert (page.status_code, page.mimetype) == (400, "text/plain")
    assert words in page.text
    assert authorizations.list_all(ours.store) == []


def test_without_an_address_of_ours_one_must_be_given(web, ours):
    homeless = replace(ours, settings=replace(ours.settings, public_url=""))
    with pytest.raises(connecting.NoWayBack, match="LISTBRIDGE_PUBLIC_URL"):
        connecting.begin(homeless, **APPLICATION)
    url, _ = connecting.begin(homeless, **APPLICATION, redirect_uri="https://elsewhere.example.com/back")
    assert granted(url).startswith("https://elsewhere.example.com/back?code=")


def test_connecting_again_replaces_the_tokens_of_the_same_authorization(ours, connected):
    url, state = connecting.begin(ours, **APPLICATION)
    (code,) = parse_qs(urlsplit(granted(url)).query)["code"]
    again = connecting.finish(ours, state, code)
    assert again.id == connected.id
    assert again.secret != connected.secret


def test_a_key_is_not_replaced_by_the_way(web, ours):
    authorizations.create(
        ours.store,
        ours.secrets,
        secret="a key",
        description=APPLICATION["description"],
        base_url=ours.settings.api_base_url,
    )
    with pytest.raises(connecting.DescriptionTaken, match="choose another one"):
        connecting.begin(ours, **APPLICATION)
    headers = {"Authorization": "Bearer a-token-for-the-tests"}
    assert web.post("/v1/authorizations/connect", json=APPLICATION, headers=headers).status_code == 409


def test_a_token_is_renewed_an_hour_before_it_expires(ours, server, connected, clock):
    api = client_of(ours, connected)
    clock.ahead_ms = (14 * DAY - 3700) * 1000
    api.clients()
    assert refreshes(server) == 3  # code, refresh token, access token
    clock.ahead_ms = (14 * DAY - 3500) * 1000
    api.clients()
    clock.ahead_ms = 0
    api.clients()
    assert refreshes(server) == 4


def test_a_call_whose_token_had_expired_is_repeated_with_a_renewed_one(ours, server, connected):
    api = client_of(ours, connected)
    (client,) = api.clients()
    (target,) = api.lists(client.client_id)[:1]
    later(server, 15 * DAY)

    api.create_webhook(target.list_id, f"{PUBLIC}/x", ("Update",))

    assert len(api.webhooks(target.list_id)) == 1
    assert refreshes(server) == 4


def test_one_renews_for_all_who_find_the_token_old_at_once(ours, server, connected):
    clients = [client_of(ours, connected) for _ in range(8)]
    later(server, 15 * DAY)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda api: len(api.clients()), clients))
    assert found == [1] * 8
    assert refreshes(server) == 4


def test_a_token_that_was_renewed_elsewhere_is_taken_from_the_store(ours, server, connected):
    first, second = client_of(ours, connected), client_of(ours, connected)
    later(server, 15 * DAY)
    first.clients()
    second.clients()
    assert refreshes(server) == 4


def test_when_a_renewal_is_not_answered_the_old_token_serves_as_long_as_it_lasts(
    ours, connected, clock, monkeypatch
):
    def unanswered(*_arguments, **_options):
        raise NetworkProblem("no connection")

    monkeypatch.setattr(oauth, "refresh", unanswered)
    api = client_of(ours, connected)
    clock.ahead_ms = (14 * DAY - 60) * 1000
    assert len(api.clients()) == 1
    clock.ahead_ms = (14 * DAY + 60) * 1000
    with pytest.raises(NetworkProblem):
        api.clients()


def test_withdrawn_access_is_fatal_and_says_what_to_do(ours, server, connected):
    api = client_of(ours, connected)
    api.clients()
    server.simulator.tokens.revoke()
    with pytest.raises(Exception, match="122") as told:
        api.clients()
    assert "workflow" in told.value.remedy
    later(server, 15 * DAY)
    with pytest.raises(AccessWithdrawn) as refused:
        oauth.refresh(server.api_url, "refresh-1", timeouts=(1, 1))
    assert "connect" in refused.value.remedy


def test_a_lease_that_somebody_else_holds_for_too_long_is_a_passing_problem(ours, server, connected):
    api = client_of(ours, connected)
    later(server, 15 * DAY)
    other = Lease(ours.store, f"oauth:{connected.id}", 60_000)
    assert other.acquire()
    with pytest.raises(NetworkProblem, match="another worker"):
        api.clients()


def test_a_renewal_does_not_overwrite_what_was_connected_meanwhile(ours, connected):
    newer = authorizations.change_key(ours.store, ours.secrets, connected.id, "a-key")
    assert not authorizations.replace_secret(ours.store, ours.secrets, connected, "older")
    assert authorizations.get(ours.store, connected.id) == newer


def test_a_key_that_took_the_place_of_tokens_meanwhile_is_used_by_the_next_attempt(ours, server, connected):
    api = client_of(ours, connected)
    later(server, 15 * DAY)
    changed = authorizations.change_key(ours.store, ours.secrets, connected.id, server.account.api_key)
    with pytest.raises(NetworkProblem, match="API key"):
        api.clients()
    assert len(client_of(ours, changed).clients()) == 1


def test_the_budget_of_an_account_stays_the_same_over_renewals(ours, server, connected):
    before = account_of(ours, authorizations.get(ours.store, connected.id))
    later(server, 15 * DAY)
    client_of(ours, connected).clients()
    assert account_of(ours, authorizations.get(ours.store, connected.id)) == before


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"access_token": 5}', '{"access_token": "a"}'])
def test_an_answer_that_is_no_token_is_tried_again(monkeypatch, body):
    problem = oauth._refusal(200, body.encode())
    assert isinstance(problem, oauth.ServerProblem)


def test_the_commands_connect_and_finish(ours, server, store_server, encryption_key, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LISTBRIDGE_REDIS_URL", store_server)
    monkeypatch.setenv("LISTBRIDGE_ENCRYPTION_KEYS", encryption_key)
    monkeypatch.setenv("LISTBRIDGE_API_BASE_URL", server.api_url)
    settings_module.current.cache_clear()
    try:
        runner = CliRunner()
        begin = ["authorization", "connect", "--description", "By OAuth", "--client-id", "1234"]
        back = ["--redirect-uri", "https://elsewhere.example.com/back"]
        shown = runner.invoke(main, [*begin, *back], input="application-secret\n")
        assert shown.exit_code == 0, shown.output
        address = granted(shown.output.splitlines()[-1])

        done = runner.invoke(main, ["authorization", "finish", address])
        assert done.exit_code == 0, done.output
        assert "By OAuth" in done.output
        listed = json.loads(runner.invoke(main, ["authorization", "list", "--json"]).output)
        assert [each["credential"] for each in listed] == ["oauth"]

        again = runner.invoke(main, ["authorization", "finish", address])
        assert (again.exit_code, "begin again" in again.output) == (1, True)
        denied = runner.invoke(
            main, ["authorization", "finish", "https://x.example.com/?error=access_denied"]
        )
        assert "access_denied" in denied.output
    finally:
        settings_module.current.cache_clear()


def test_the_state_is_forgotten_after_a_while(ours):
    _, state = connecting.begin(ours, **APPLICATION)
    assert 0 < ours.store.client.ttl(keys.oauth_state(state)) <= connecting.ASKED_SECONDS
