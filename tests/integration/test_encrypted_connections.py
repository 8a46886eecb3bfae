"""The store and the broker over TLS: a server that can't show a trusted certificate gets nothing."""

import select
import socket
import ssl
import threading
from urllib.parse import urlsplit

import pytest
import redis
import trustme
from kombu import Connection

import settings as settings_module
from listbridge.store.location import broker_url
from listbridge.store.store import connect

pytestmark = pytest.mark.on_one_server


class Relay:
    """Takes TLS connections and passes what they carry on to the store, as a terminating proxy does."""

    def __init__(self, certificate, target):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.over = threading.Event()
        self.passed = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.listener.close()

    def serve(self):
        threads = []
        while not self.over.is_set():
            if select.select([self.listener], [], [], 0.05)[0]:
                raw, _ = self.listener.accept()
                threads.append(threading.Thread(target=self.carry, args=(raw,), daemon=True))
                threads[-1].start()
        for each in threads:
            each.join()

    def carry(self, raw):
        raw.settimeout(5)
        try:
            inner = self.context.wrap_socket(raw, server_side=True)
        except OSError:
            raw.close()
            return
        with inner, socket.create_connection(self.target) as store:
            while not self.over.is_set():
                if not inner.pending() and not select.select([inner, store], [], [], 0.05)[0]:
                    continue
                for source, sink in ((inner, store), (store, inner)):
                    if (source is inner and inner.pending()) or select.select([source], [], [], 0)[0]:
                        try:
                            data = source.recv(1 << 16)
                            sink.sendall(data)
                        except OSError:
                            return
                        if not data:
                            return
                        self.passed += len(data)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def target(store_server):
    parts = urlsplit(store_server)
    return parts.hostname, parts.port


@pytest.fixture
def server(store_server):
    """The URL, encrypted, of the server that a relay stands before; then its port and the database."""
    password = urlsplit(store_server).password
    return f"rediss://:{password}@127.0.0.1"


@pytest.fixture
def relay(authority, target):
    with Relay(authority.issue_cert("127.0.0.1", "localhost"), target) as made:
        yield made


@pytest.fixture
def trusted(authority, tmp_path):
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


def put(given):
    """A message into a queue and out of it, as a doorbell goes."""
    url = broker_url(settings_module.load({"LISTBRIDGE_BROKER_URL": given}))
    with Connection(url, transport_options={"socket_timeout": 5, "socket_keepalive": True}) as broker:
        broker.ensure_connection(max_retries=1, timeout=3)
        queue = broker.SimpleQueue("tls-test")
        queue.put({"ring": 1})
        assert queue.get(timeout=3).payload == {"ring": 1}
        queue.close()


def test_the_store_is_used_over_tls(relay, server, trusted, store):
    used = connect(f"{server}:{relay.port}/0?ssl_ca_certs={trusted}", 16)
    used.prepare()
    used.client.close()
    assert relay.passed > 0


def test_a_store_with_an_unknown_certificate_is_refused(relay, server, store):
    used = connect(f"{server}:{relay.port}/0", 16, retries=0)
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        used.client.ping()
    assert relay.passed == 0


def test_a_store_with_a_certificate_of_another_name_is_refused(authority, target, server, trusted, store):
    with Relay(authority.issue_cert("elsewhere.example"), target) as other:
        used = connect(f"{server}:{other.port}/0?ssl_ca_certs={trusted}", 16, retries=0)
        with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            used.client.ping()
        assert other.passed == 0


def test_the_broker_is_used_over_tls(relay, server, trusted, store):
    put(f"{server}:{relay.port}/1?ssl_ca_certs={trusted}")
    assert relay.passed > 0


def test_a_broker_with_an_unknown_certificate_is_refused(relay, server, store):
    with pytest.raises(Exception, match="certificate verify failed"):
        put(f"{server}:{relay.port}/1")
    assert relay.passed == 0


def test_a_broker_with_a_certificate_of_another_name_is_refused(authority, target, server, trusted, store):
    with Relay(authority.issue_cert("elsewhere.example"), target) as other:
        with pytest.raises(Exception, match="certificate verify failed"):
            put(f"{server}:{other.port}/1?ssl_ca_certs={trusted}")
        assert other.passed == 0


def test_the_broker_beside_an_encrypted_store_is_encrypted_as_it_is():
    given = settings_module.load({"LISTBRIDGE_REDIS_URL": "rediss://h:6380/0?ssl_ca_certs=/etc/ca.pem"})
    assert broker_url(given) == (
        "rediss://h:6380/1?ssl_check_hostname=true&ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem"
    )


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:6379/1",
        "amqps://u:p@h//",
        "rediss://h/1?ssl_cert_reqs=none",
        "redis://a:1;redis://b:2",
    ],
)
def test_other_brokers_stay_as_they_are_said(url):
    assert broker_url(settings_module.load({"LISTBRIDGE_BROKER_URL": url})) == url
