"""The whole call for tokens is bounded: others wait for its lease."""

import time

import pytest

from listbridge.campaign_monitor import NetworkProblem, oauth

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("start", [HEAD, HEAD + b"Content-Length: 100000\r\n\r\n"], ids=["headers", "body"])
def test_an_answer_that_trickles_in_is_given_up(service, start):
    def trickle(handler):
        handler.close_connection = True
        handler.wfile.write(start)
        while not service.released.wait(0.02):
            handler.wfile.write(b"x")

    service.script.append(trickle)
    started = time.monotonic()
    with pytest.raises(NetworkProblem, match="TimeoutError"):
        oauth.refresh(f"{service.url}/api/v3.3", "refresh", timeouts=(0.2, 0.3))
    assert time.monotonic() - started < 1.5
    service.released.set()


def test_what_the_call_raises_is_raised(service):
    service.script.append(
        lambda handler: handler.wfile.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    )
    with pytest.raises(oauth.ServerProblem):
        oauth.refresh(f"{service.url}/api/v3.3", "refresh", timeouts=(0.2, 5))
