"""What happens on the connection: timeouts, cuts, threads, hooks, and what is never said aloud."""

import gzip
import logging
import socket
import ssl
import threading
import time
from email.utils import formatdate

import pytest
import requests
import urllib3

from listbridge.campaign_monitor import (
    ApiKey,
    CampaignMonitor,
    FieldValue,
    ImportRow,
    NetworkProblem,
    RateLimited,
    RetriableError,
    ServerProblem,
    UnreadableAnswer,
)
from listbridge.campaign_monitor.http import network_problem

ROW = ImportRow("ann@example.com", "Yes", custom_fields=(FieldValue("a", "one"),))
HTML = {"Content-Type": "text/html"}


def write(api):
    api.unsubscribe("l1", "ann@example.com")


def read(api):
    api.subscriber("l1", "ann@example.com")


def hang(service):
    def wait(handler):
        service.released.wait(5)
        handler.close_connection = True

    return wait


def cut(handler):
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut_within_the_body(handler):
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"Email')
    cut(handler)


def cut_within_a_chunk(handler):
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"Email')
    cut(handler)


def nonsense(handler):
    handler.wfile.write(b"what?\r\n\r\n")
    cut(handler)


@pytest.mark.parametrize(("call", "ambiguous"), [(write, True), (read, False)])
@pytest.mark.parametrize("fault", [cut, cut_within_the_body, cut_within_a_chunk, nonsense])
def test_a_connection_that_is_cut_after_sending_is_ambiguous_for_a_write(
    api, service, fault, call, ambiguous
):
    service.script.append(fault)
    with pytest.raises(NetworkProblem) as caught:
        call(api)
    assert caught.value.may_have_been_applied is ambiguous
    assert "ann" not in str(caught.value)
    assert len(service.requests) == 1


@pytest.mark.parametrize(("call", "ambiguous"), [(write, True), (read, False)])
def test_a_read_timeout_is_ambiguous_for_a_write(service, call, ambiguous):
    service.script.append(hang(service))
    api = CampaignMonitor(ApiKey("k"), base_url=service.url, read_timeout=0.1)
    with api, pytest.raises(NetworkProblem) as caught:
        call(api)
    assert caught.value.may_have_been_applied is ambiguous
    assert len(service.requests) == 1


def test_an_answer_that_trickles_in_is_given_up_after_the_read_timeout(service):
    def trickle(handler):
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not service.released.wait(0.02):
            handler.wfile.write(b" ")

    service.script.append(trickle)
    started = time.monotonic()
    api = CampaignMonitor(ApiKey("k"), base_url=service.url, read_timeout=0.2)
    with api, pytest.raises(NetworkProblem) as caught:
        write(api)
    service.released.set()
    assert caught.value.may_have_been_applied
    assert time.monotonic() - started < 1


def test_a_connection_that_was_never_made_has_changed_nothing(closed_port):
    api = CampaignMonitor(ApiKey("k"), base_url=f"http://127.0.0.1:{closed_port}")
    with api, pytest.raises(NetworkProblem) as caught:
        write(api)
    assert not caught.value.may_have_been_applied
    assert "no connection" in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "ambiguous"),
    [
        (requests.ConnectTimeout(urllib3.exceptions.ConnectTimeoutError("slow")), False),
        (requests.exceptions.ProxyError(urllib3.exceptions.ProxyError("refused", OSError())), False),
        (requests.exceptions.SSLError(urllib3.exceptions.SSLError(ssl.SSLCertVerificationError())), False),
        (requests.exceptions.SSLError(urllib3.exceptions.SSLError(ssl.SSLEOFError())), True),
        (requests.ReadTimeout(urllib3.exceptions.ReadTimeoutError(None, None, "slow")), True),
        (urllib3.exceptions.IncompleteRead(1, 2), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
    ],
)
def test_only_what_failed_before_sending_cannot_have_been_applied(problem, ambiguous):
    assert network_problem("PUT /x", problem).may_have_been_applied is ambiguous
    assert not network_problem("GET /x", problem).may_have_been_applied


def test_a_cut_while_an_older_failure_is_being_handled_is_still_ambiguous(service, closed_port):
    service.script.append(cut)
    unreachable = CampaignMonitor(ApiKey("k"), base_url=f"http://127.0.0.1:{closed_port}")
    api = CampaignMonitor(ApiKey("k"), base_url=service.url)
    try:
        write(unreachable)
    except NetworkProblem:
        with unreachable, api, pytest.raises(NetworkProblem) as caught:
            write(api)
    assert caught.value.may_have_been_applied


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "ambiguous"),
    [
        (500, {"Code": 500, "Message": "Sorry"}, {}, ServerProblem, True),
        (504, b"<html>Gateway Timeout</html>", HTML, ServerProblem, True),
        (200, b"<html>Please log in</html>", HTML, UnreadableAnswer, True),
        (302, b"", {"Location": "http://127.0.0.1:1/"}, UnreadableAnswer, False),
        (429, {"Code": 429, "Message": "Rate limit exceeded"}, {}, RateLimited, False),
    ],
)
def test_a_write_that_fails_at_the_server_says_whether_it_may_count(
    api, service, status, body, headers, kind, ambiguous
):
    service.reply(status, body, headers)
    with pytest.raises(kind) as caught:
        write(api)
    assert isinstance(caught.value, RetriableError)
    assert caught.value.may_have_been_applied is ambiguous
    assert len(service.requests) == 1


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(api, service):
    service.reply(307, b"", {"Location": service.url + "/elsewhere.json"})
    with pytest.raises(UnreadableAnswer):
        api.clients()
    assert len(service.requests) == 1


def test_a_429_says_how_long_to_wait(api, service):
    service.reply(429, {"Code": 429, "Message": "Rate limit exceeded"}, {"X-RateLimit-Reset": "348"})
    with pytest.raises(RateLimited) as caught:
        api.clients()
    assert caught.value.retry_after_seconds == 348


def test_compressed_answers_are_read(api, service):
    service.reply(200, gzip.compress(b'[{"ClientID":"c1","Name":"One"}]'), {"Content-Encoding": "gzip"})
    assert api.clients()[0].name == "One"


def test_broken_compression_is_a_network_problem(api, service):
    service.reply(200, b"not gzip at all", {"Content-Encoding": "gzip"})
    with pytest.raises(NetworkProblem):
        api.clients()


# Connections


def test_one_thread_keeps_one_connection(api, service):
    service.reply(200, [])
    for _ in range(3):
        api.clients()
    assert len(service.connections) == 1


def test_each_thread_has_a_connection_of_its_own(api, service):
    service.reply(200, [])
    api.clients()
    thread = threading.Thread(target=lambda: (api.clients(), api.close()))
    thread.start()
    thread.join()
    assert len(service.connections) == 2


def test_a_closed_client_opens_a_connection_again(api, service):
    service.reply(200, [])
    api.clients()
    api.close()
    api.close()
    api.clients()
    assert len(service.connections) == 2


def test_credentials_of_a_netrc_file_are_never_used(api, service, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    service.reply(200, [])
    api.clients()
    assert service.last.headers["Authorization"] == ApiKey("secret-key").authorization()


# Hooks


def test_the_hooks_see_every_call_by_its_template(service):
    before, after = [], []
    with CampaignMonitor(
        ApiKey("k"), base_url=service.url, before_call=before.append, after_call=after.append
    ) as api:
        service.reply(200, b"", {"X-RateLimit-Remaining": "59"})
        service.reply(429, {"Code": 429, "Message": "Rate limit exceeded"})
        service.script.append(cut)
        write(api)
        for kind in (RateLimited, NetworkProblem):
            with pytest.raises(kind):
                write(api)
    assert before == ["POST /subscribers/{list}/unsubscribe"] * 3
    assert [(record.endpoint, record.status) for record in after] == [
        ("POST /subscribers/{list}/unsubscribe", 200),
        ("POST /subscribers/{list}/unsubscribe", 429),
        ("POST /subscribers/{list}/unsubscribe", None),
    ]
    assert after[0].headers["x-ratelimit-remaining"] == "59"
    assert [type(record.error) for record in after] == [type(None), RateLimited, NetworkProblem]
    assert all(0 <= record.seconds < 5 for record in after)


def test_a_hook_that_raises_keeps_the_call_from_being_sent(service):
    class NotNowError(Exception):
        pass

    def refuse(endpoint):
        raise NotNowError

    api = CampaignMonitor(ApiKey("k"), base_url=service.url, before_call=refuse)
    with api, pytest.raises(NotNowError):
        write(api)
    assert service.requests == []


def test_refused_rows_are_no_error_in_the_record_of_an_import(service):
    records = []
    data = {"TotalUniqueEmailsSubmitted": 1, "TotalExistingSubscribers": 1, "TotalNewSubscribers": 0}
    service.reply(400, {"Code": 210, "Message": "", "ResultData": data})
    with CampaignMonitor(ApiKey("k"), base_url=service.url, after_call=records.append) as api:
        api.import_subscribers("l1", [ROW])
    assert [(record.status, record.error) for record in records] == [(400, None)]


def test_the_services_clock_is_compared_with_ours(api, service):
    assert api.clock_offset_ms is None

    def an_hour_ahead(handler):
        date = formatdate(time.time() + 3600, usegmt=True)
        handler.wfile.write(f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n[]".encode())

    service.script.append(an_hour_ahead)
    api.clients()
    assert api.clock_offset_ms == pytest.approx(3_600_000, abs=2000)


def test_an_answer_without_a_date_leaves_the_clock_as_it_was(api, service):
    service.script.append(
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    )
    api.clients()
    assert api.clock_offset_ms is None


# Privacy


def test_nothing_above_debug_names_a_person_or_the_key(api, service, caplog):
    def broken_headers(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nbroken header\r\n\r\n[]")
        handler.close_connection = True

    person = "ann@example.com"
    service.script.append(broken_headers)
    service.script.append(cut)
    service.reply(500, b"<p>ann@example.com</p>", HTML)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            try:
                api.subscriber("l1", person)
            except RetriableError:
                logging.getLogger("test").exception("failed")
    assert "Failed to parse headers" in caplog.text
    assert not any(word in caplog.text for word in ("ann", "%40", "secret-key"))


def test_the_key_is_not_shown():
    assert "secret-key" not in repr(ApiKey("secret-key"))
    assert "secret-key" not in repr(CampaignMonitor(ApiKey("secret-key")).__dict__)
