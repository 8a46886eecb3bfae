"""What tests of every kind share: a store of their own, and a context on it."""

import os
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
from listbridge.store.local_cluster import LocalCluster
from listbridge.store.store import Store, connect
from settings import Settings

PARTITIONS = 16

# How fast examples are made says something of the machine and nothing of the code.
hypothesis.settings.register_profile(
    "tests", suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None
)
hypothesis.settings.load_profile("tests")


ON_A_CLUSTER = bool(os.environ.get("TEST_CLUSTER"))
"""Is every test with a store to run on a cluster?"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "also_on_a_cluster: is run on one server and on a cluster of three")
    config.addinivalue_line(
        "markers", "on_one_server: is run on one server, where all others are on a cluster"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store_server" not in metafunc.fixturenames:
        return
    marked = {each.name for each in metafunc.definition.iter_markers()}
    if ON_A_CLUSTER and "on_one_server" in marked:
        metafunc.parametrize("store_server", ["one_server"], indirect=True)
    elif not ON_A_CLUSTER and "also_on_a_cluster" in marked:
        kinds = {"one": "one_server", "cluster": "cluster"}
        metafunc.parametrize("store_server", kinds.values(), indirect=True, ids=kinds)


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedStore(tmp_path_factory.mktemp("store"), appendfsync="everysec") as server:
        yield server.url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.url


@pytest.fixture(scope="session")
def _connections() -> Iterator[dict[str, Store]]:
    held: dict[str, Store] = {}
    yield held
    for store in held.values():
        store.client.close()


@pytest.fixture(scope="session", autouse=ON_A_CLUSTER)
def _broker(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes that tests start on a cluster need a broker of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LISTBRIDGE_BROKER_URL", request.getfixturevalue("one_server"))
        yield


@pytest.fixture(autouse=True)
def _settings_read_anew() -> None:
    """No test sees the settings of one that went before."""
    settings_module.current.cache_clear()


@pytest.fixture(scope="session")
def store_server(request: pytest.FixtureRequest) -> str:
    """The URL of a server, or a cluster, that lives as long as the tests; `store` empties its database 0."""
    default = "cluster" if ON_A_CLUSTER else "one_server"
    return request.getfixturevalue(getattr(request, "param", default))


@pytest.fixture
def store(store_server: str, _connections: dict[str, Store]) -> Store:
    """An empty, prepared store on a real server."""
    if store_server not in _connections:
        _connections[store_server] = connect(store_server, PARTITIONS)
    held = _connections[store_server]
    held.client.flushall()
    fresh = Store(held.client, PARTITIONS)
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
def app_settings(
    request: pytest.FixtureRequest, tmp_path: Path, store_server: str, encryption_key: str
) -> Settings:
    """Settings of a process that works on `store`; on a cluster, the broker is a server of its own."""
    broker = request.getfixturevalue("one_server") if settings_module.is_cluster(store_server) else ""
    return settings_module.load(
        {
            "LISTBRIDGE_BROKER_URL": broker,
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
