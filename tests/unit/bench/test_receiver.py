"""What the benchmark of the receiver posts is taken whole, and what it reckons with is right."""

import os
from datetime import UTC, datetime
from itertools import count
from zoneinfo import ZoneInfo

import pytest

from bench.receiver import bodies, load, processes, rates, soak
from listbridge import audiences
from listbridge.campaign_monitor import incoming
from listbridge.campaign_monitor.events import Account
from listbridge.store.store import now_ms
from webhooks.bodies import audience_events

ACCOUNT = Account("c1", "Client One", ZoneInfo("UTC"), {bodies.LIST: "Newsletter"})
NOW = datetime.now(UTC)


def stored(store, door, body):
    if door == "webhooks":
        return incoming.receive(store, ACCOUNT, body)
    return audiences.receive(store, audience_events(body, now_ms() + 1000))


@pytest.mark.parametrize("door", rates.BODIES)
def test_each_body_is_a_new_delivery_and_the_same_again_is_not(fake_store, door):
    numbers = count()
    made = [rates.BODIES[door](numbers, events, NOW) for events in (1, 5, 20)]

    for again in (False, True):
        for events, body in zip((1, 5, 20), made, strict=True):
            counts = stored(fake_store, door, body)
            new = events * rates.STORED[door]
            assert (counts.accepted, counts.duplicates) == ((0, new) if again else (new, 0))
            assert not counts.quarantined


@pytest.mark.parametrize("make", [bodies.delivery, bodies.audience_events])
def test_people_come_again_with_other_events(fake_store, make):
    door = "webhooks" if make is bodies.delivery else "audience events"
    numbers = count()

    for _ in range(3):
        assert stored(fake_store, door, make(numbers, 10, NOW, people=10)).accepted >= 10

    people = {key for part in fake_store.parts for key in _people(fake_store, part)}
    assert len(people) == 10


def _people(store, part):
    for stream in ("audience", "cm_activity"):
        for _, fields in store.client.xrange(part.stream(stream)):
            yield from (line.split(b'"email":"')[1].split(b'"')[0] for line in fields[b"e"].split(b"\n"))


def test_requests_are_written_with_their_lengths(tmp_path):
    file = tmp_path / "requests"

    made = load.write(file, "http://127.0.0.1:8080/a/b", {"X-A": "1"}, [b"{}", b"[1]"])

    assert made[0] == (
        b"POST /a/b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nX-A: 1\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    assert file.read_bytes() == b"".join(b"%010d%s" % (len(each), each) for each in made)


def test_a_line_through_samples():
    samples = [{"at": 10.0 + at, "web": 5 + 2.0 * at, "flat": 7.0} for at in range(5)]

    assert soak.slope(samples, "web") == pytest.approx(2)
    assert soak.slope(samples, "flat") == 0
    assert soak.slope(samples[:1], "web") == 0


def test_a_process_is_in_its_group_and_takes_memory():
    leader = os.getpgid(0)

    assert os.getpid() in processes.group(leader)
    assert processes.resident_mb(leader) >= processes.resident_mb_of(os.getpid()) > 1
    assert processes.cpu_seconds(leader) > 0
    assert processes.resident_mb_of(2**22 + 1) == 0
