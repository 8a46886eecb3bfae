"""An application on a store in memory, and bells that write down what they were rung for."""

import dataclasses
from collections.abc import Callable
from itertools import count

import fakeredis
import msgspec
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from listbridge.campaign_monitor.webhooks import Receiver, digest
from listbridge.context import Context
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from listbridge.secrets import Secrets
from listbridge.store import keys
from listbridge.store.store import Store
from settings import Settings
from webhooks.app import create_app
from webhooks.receiving import Receivers
from webhooks.wiring import Bells, Web

_addresses = count(1)
TOKENS = ("a-token-for-the-tests", "another-token-for-them")
RECEIVER = Receiver(
    client_id="c1",
    client_name="Client One",
    zone="Australia/Sydney",
    lists={"l1": "List One"},
    token="encrypted",
    tokens=[digest("right"), digest("older")],
)


@pytest.fixture(scope="session")
def api_settings(encryption_key) -> Settings:
    return Settings(api_tokens=TOKENS, encryption_keys=(encryption_key,), max_body_bytes=20_000)


@pytest.fixture
def api_context(api_settings, fake_store) -> Context:
    return context_on(fake_store, api_settings)


def context_on(store, settings) -> Context:
    establish(store, configured(settings))
    return Context(settings, store, ActivePrograms(store), Secrets(settings.encryption_keys))


@pytest.fixture
def rung() -> list[tuple[str, ...]]:
    return []


@pytest.fixture
def make_app(api_context) -> Callable[..., Flask]:
    """Makes an application; keyword arguments replace settings."""

    def make(**changes) -> Flask:
        changed = dataclasses.replace(api_context.settings, **changes)
        return create_app(dataclasses.replace(api_context, settings=changed), lambda: None)

    return make


@pytest.fixture(scope="session")
def shared_app(api_settings) -> Flask:
    """One application for all tests, because making the OpenAPI document takes a while."""
    store = Store(fakeredis.FakeRedis(server=fakeredis.FakeServer()), 16)
    return create_app(context_on(store, api_settings))


@pytest.fixture
def app(shared_app, api_context, rung) -> Flask:
    """The application, on a store of this test's own."""
    bells = Bells(
        fold=lambda: rung.append(("fold",)),
        deliver=lambda list_id: rung.append(("deliver", list_id)),
        pull=lambda workflow_id: rung.append(("pull", workflow_id)),
        plan=lambda workflow_id: rung.append(("plan", workflow_id)),
    )
    Web(api_context, bells, Receivers(api_context.store)).install(shared_app)
    return shared_app


@pytest.fixture
def anonymous(app) -> FlaskClient:
    """A client without a token, at an address of its own: wrong tokens are counted by address."""
    made = app.test_client()
    made.environ_base["REMOTE_ADDR"] = f"2001:db8:0:{next(_addresses):x}::1"
    return made


@pytest.fixture
def client(app) -> FlaskClient:
    """A client whose requests carry a valid token."""
    made = app.test_client()
    made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKENS[0]}"
    return made


@pytest.fixture
def import_receiver(fake_store) -> str:
    """The path of a webhook that is received."""
    fake_store.client.set(keys.receiver("w1"), msgspec.json.encode(RECEIVER))
    return "/webhooks/campaign-monitor/w1/right"


@pytest.fixture
def authorization_id(client) -> str:
    made = client.post("/v1/authorizations", json={"description": "an account", "api_key": "k" * 32})
    return made.json["id"]


@pytest.fixture
def export(authorization_id) -> dict:
    """The body that makes an export."""
    config = {
        "client_id": "c1",
        "list_id": "l1",
        "audiences": ["vip"],
        "consent_to_track": "Unchanged",
    }
    return {"kind": "export", "authorization_id": authorization_id, "config": config}


@pytest.fixture
def break_store(monkeypatch) -> Callable[[Exception], None]:
    """Makes every command to the store fail with an error."""

    def broken(error: Exception) -> None:
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(redis.Redis, "execute_command", fail)
        monkeypatch.setattr(redis.client.Pipeline, "execute", fail)

    return broken
