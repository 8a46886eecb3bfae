"""What tests of every kind share: a store of their own, and a context on it."""

from collections.abc import Iterator
from pathlib import Path

import fakeredis
import hypothesis
import pytest
from cryptography.fernet import Fernet

import settings as settings_module
from listbridge.aggregation import Program
from listbridge.context import Context, load_program
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from listbridge.secrets import Secrets
from listbridge.store.embedded import EmbeddedStore
from listbridge.store.store import Store, connect
from settings import Settings

PARTITIONS = 16

# How fast examples are made says something of the machine and nothing of the code.
hypothesis.settings.register_profile(
    "tests", suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None
)
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that lives as long as the tests; its database 0 is emptied before each `store`."""
    with EmbeddedStore(tmp_path_factory.mktemp("store"), appendfsync="everysec") as server:
        yield server.url


@pytest.fixture(scope="session")
def _server(store_server: str) -> Iterator[Store]:
    store = connect(store_server, PARTITIONS)
    yield store
    store.client.close()


@pytest.fixture
def store(_server: Store) -> Store:
    """An empty, prepared store on a real server."""
    _server.client.flushall()
    fresh = Store(_server.client, PARTITIONS)
    fresh.prepare()
    return fresh


@pytest.fixture
def fake_store() -> Iterator[Store]:
    """An empty, prepared store in this process's memory."""
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    fake = Store(client, PARTITIONS)
    fake.prepare()
    yield fake
    client.close()


@pytest.fixture(scope="session")
def encryption_key() -> str:
    return Fernet.generate_key().decode()


@pytest.fixture
def app_settings(tmp_path: Path, store_server: str, encryption_key: str) -> Settings:
    """Settings of a process that works on `store`."""
    return settings_module.load(
        {
            "LISTBRIDGE_DATA_DIR": str(tmp_path / "data"),
            "LISTBRIDGE_REDIS_URL": store_server,
            "LISTBRIDGE_PARTITIONS": str(PARTITIONS),
            "LISTBRIDGE_API_TOKENS": "a-token-for-the-tests",
            "LISTBRIDGE_ENCRYPTION_KEYS": encryption_key,
            "LISTBRIDGE_FLUSH_MILLISECONDS": "0",
        }
    )


@pytest.fixture(scope="session")
def shipped_program() -> Program:
    """The program of the shipped mappings."""
    return load_program(settings_module.load({}))


@pytest.fixture
def context(app_settings: Settings, store: Store) -> Context:
    """What a process works with, on `store`."""
    establish(store, configured(app_settings))
    secrets = Secrets(app_settings.encryption_keys)
    return Context(app_settings, store, ActivePrograms(store), secrets, app_settings.redis_url)
