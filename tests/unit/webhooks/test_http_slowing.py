"""Who tries many tokens is slowed down; who has a right one is not kept out by it."""

import hashlib

import pytest

from webhooks import slowing
from webhooks.slowing import Slowing, network_of

TOKEN, ONE, OTHER = b"hash", "192.0.2.1", "192.0.2.2"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tried(clock):
    """An address that has just used up its tries."""
    made = Slowing(clock)
    for _ in range(slowing.WRONG_TOKENS):
        assert made.rest_seconds(ONE, TOKEN) == 0
        made.wrong(ONE)
    return made


def test_after_many_wrong_tokens_an_address_rests_until_the_window_is_over(tried, clock):
    assert tried.rest_seconds(ONE, TOKEN) == slowing.WINDOW_SECONDS
    clock.now = slowing.WINDOW_SECONDS - 1
    assert tried.rest_seconds(ONE, TOKEN) == 1
    clock.now = slowing.WINDOW_SECONDS
    assert tried.rest_seconds(ONE, TOKEN) == 0
    tried.wrong(ONE)
    assert tried.rest_seconds(ONE, TOKEN) == 0


def test_other_addresses_do_not_rest(tried):
    assert tried.rest_seconds(OTHER, TOKEN) == 0


def test_a_token_that_was_right_is_looked_at_for_an_hour(clock):
    made = Slowing(clock)
    made.right(ONE, TOKEN)
    for _ in range(slowing.WRONG_TOKENS):
        made.wrong(ONE)
    assert made.rest_seconds(ONE, TOKEN) == 0
    assert made.rest_seconds(ONE, b"other") > 0
    clock.now = slowing.KNOWN_SECONDS + 1
    for _ in range(slowing.WRONG_TOKENS):
        made.wrong(ONE)
    assert made.rest_seconds(ONE, TOKEN) > 0


def test_only_so_many_addresses_are_kept(clock):
    made = Slowing(clock)
    for number in range(slowing.MOST_ADDRESSES + 10):
        made.wrong(str(number))
        made.right(str(number), TOKEN)
    assert len(made._wrong) == len(made._known) == slowing.MOST_ADDRESSES


def test_over_http_wrong_tokens_end_in_429_and_the_right_one_goes_on(make_app, api_settings):
    client = make_app().test_client()
    right = {"Authorization": f"Bearer {api_settings.api_tokens[0]}"}
    assert client.get("/v1/audiences", headers=right).status_code == 200
    statuses = [
        client.get("/v1/audiences", headers={"Authorization": f"Bearer wrong-{n}"}).status_code
        for n in range(slowing.WRONG_TOKENS + 3)
    ]
    assert statuses == [401] * slowing.WRONG_TOKENS + [429] * 3
    answer = client.get("/metrics", headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (429, True)
    assert client.get("/v1/audiences", headers=right).status_code == 200
    elsewhere = {"REMOTE_ADDR": OTHER}
    wrong = {"Authorization": "Bearer wrong"}
    assert client.get("/v1/audiences", headers=wrong, environ_overrides=elsewhere).status_code == 401


def test_a_token_may_be_configured_as_its_sum(make_app):
    token = "a-token-that-is-not-written-down"
    configured = "sha256:" + hashlib.sha256(token.encode()).hexdigest()
    client = make_app(api_tokens=(configured,)).test_client()
    assert client.get("/v1/audiences", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/v1/audiences", headers={"Authorization": f"Bearer {configured}"}).status_code == 401


def test_a_token_may_hold_an_equals_sign(make_app):
    token = "key=of-the-crm;and=more"
    client = make_app(api_tokens=(token,)).test_client()
    assert client.get("/v1/audiences", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    for wrong in ("Bearer", "Bearer ", f"Basic {token}", token, "Bearer key=of-the-crm;and=less"):
        assert client.get("/v1/audiences", headers={"Authorization": wrong}).status_code == 401


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_what_one_customer_has_to_himself_counts_as_one_address(address, network):
    assert network_of(address) == network


def test_over_http_an_ipv6_network_rests_as_a_whole(make_app):
    client = make_app().test_client()
    wrong = {"Authorization": "Bearer wrong"}
    statuses = [
        client.get("/v1/audiences", headers=wrong, environ_overrides={"REMOTE_ADDR": f"2001:db8::{n:x}"})
        for n in range(slowing.WRONG_TOKENS + 1)
    ]
    assert [each.status_code for each in statuses] == [401] * slowing.WRONG_TOKENS + [429]
