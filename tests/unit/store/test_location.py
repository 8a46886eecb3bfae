"""Where the broker is when no address is given for it."""

import pytest

from listbridge.store.location import broker_options, broker_url, store_url
from settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("store", "broker"),
    [
        ("redis://h:6379/0", "redis://h:6379/1"),
        ("redis://:p%40ss@h:6379", "redis://:p%40ss@h:6379/1"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/1?ssl_cert_reqs=none"),
    ],
)
def test_the_broker_is_database_1_of_the_store(store, broker):
    assert broker_url(Settings(redis_url=store)) == broker


def test_the_broker_that_is_given_is_taken():
    assert broker_url(Settings(redis_url="redis://h/0", broker_url="amqp://b")) == "amqp://b"


def test_a_store_behind_a_socket_needs_a_broker_of_its_own():
    with pytest.raises(SettingsError, match="LISTBRIDGE_BROKER_URL"):
        broker_url(Settings(redis_url="unix:///run/redis.sock"))


def test_without_a_server_the_remedy_is_said(tmp_path):
    with pytest.raises(SettingsError, match="listbridge up"):
        store_url(Settings(data_dir=tmp_path))


def test_a_cluster_needs_a_broker_of_its_own():
    with pytest.raises(SettingsError, match=r"a cluster, which Celery can't use; set LISTBRIDGE_BROKER_URL"):
        broker_url(Settings(redis_url="redis+cluster://h:7000,i:7000"))


@pytest.mark.parametrize("url", ["redis://:p@h/1", "amqp://a//;amqp://b//"])
def test_a_broker_is_named_to_celery_as_it_is(url):
    assert broker_options(url) == (url, {})


def test_the_name_of_the_sentinels_master_goes_to_celery_beside_their_addresses():
    url = "sentinel://:p%40ss@a:26379;sentinel://b:26379/0?master_name=lb"

    assert broker_options(url) == (
        "sentinel://:p%40ss@a:26379;sentinel://b:26379/0",
        {"master_name": "lb"},
    )
