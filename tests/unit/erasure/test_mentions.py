"""An address is found however it is written, and another one that ends or begins alike is not."""

import json

import pytest

from listbridge.erasure.lines import Without
from listbridge.erasure.mentions import Mentions

ANN = "ann@example.com"


@pytest.mark.parametrize(
    ("person", "body"),
    [
        (ANN, b"ann@example.com"),
        (ANN, b'{"EmailAddress":"Ann@Example.COM"}'),
        (ANN, b"the row of 'ann@example.com' is refused"),
        (ANN, b"mailto:ann@example.com."),
        (ANN, rb'{"note":"brought by\nann@example.com"}'),
        (ANN, rb'{"note":"brought by\t\u0061nn@example.com"}'),
        (ANN, json.dumps({"raw": json.dumps({"note": "by\nann@example.com"})}).encode()),
        (ANN, b"\xff\xfe ann@example.com"),
        ("ann+news@example.com", rb'{"EmailAddress":"ann\u002Bnews@example.com"}'),
        ("o'hara@example.com", rb'{"EmailAddress":"O\u0027Hara@example.com"}'),
        ("über@example.com", rb'{"EmailAddress":"\u00fcber@example.com"}'),
        ("über@example.com", rb'{"EmailAddress":"\u00DCber@example.com"}'),
        ("über@example.com", '{"EmailAddress":"ÜBER@example.com"}'.encode()),
        ("😀@example.com", json.dumps({"EmailAddress": "😀@example.com"}).encode()),
        ("zoë@例え.jp", rb'{"EmailAddress":"zo\u00eb@\u4f8b\u3048.jp"}'),
    ],
)
def test_an_address_is_found(person, body):
    assert Mentions(person).search(body)


@pytest.mark.parametrize(
    "other",
    [
        "joann@example.com",
        "jo.ann@example.com",
        "jo+ann@example.com",
        "jo-ann@example.com",
        "ann@example.com.au",
        "o'ann@example.com",
        "jo&ann@example.com",
        "ann@example.community",
        "ann@example.com-mail.net",
    ],
)
def test_another_address_is_not(other):
    assert not Mentions(ANN).search(json.dumps({"email": other}).encode())


def test_an_event_of_an_address_that_ends_alike_stays_as_it_is():
    line = json.dumps({"_key": "o'ann@example.com", "email": "o'ann@example.com", "event": "open"}).encode()
    assert Without(ANN)(line) == line
