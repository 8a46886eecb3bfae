"""A short version of the fault suite: a few faults on one small installation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.demo.comparison import Feed
from faults import comparing, processes, running
from faults.catalogue import FAULTS
from faults.installation import world
from faults.world import Plan

SMALL = Plan(people=120, activity_rows=400)
CHOSEN = ("kill-worker", "kill-store")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("faults")
    assert processes.__name__ in {each.act.__module__ for each in FAULTS.values()}
    path = directory / "faults.log"
    with path.open("a") as log, world(directory, SMALL, log, path, seed=3) as found:
        yield found


@pytest.mark.parametrize("name", CHOSEN)
def test_nothing_is_lost_or_doubled(made, name):
    done = running.one(made, replace(FAULTS[name], plan=SMALL), seed=3, load_seconds=1.5)
    assert done.problems == []
    assert done.verdict.is_clean
    assert done.verdict.acknowledged > 200


def test_what_is_missing_would_be_seen(made):
    """The comparison is no ornament: each ledger in turn is made to say something else."""
    world_of, store = made, made.stage.context.store
    part = max(store.parts, key=lambda each: store.client.hlen(each.profiles))
    key, packed = next(iter(store.client.hgetall(part.profiles).items()))

    store.client.hdel(part.profiles, key)
    found = comparing.compare(world_of)
    assert found.people == 1
    [(who, kept)] = found.kept["people"].items()
    assert (who, kept["differs"]) == (key.decode(), ["missing"])
    assert kept["should_be"]["fields"]["email"] == who
    assert kept["known"]["events"]["cm_user"] or kept["acknowledged"]
    store.client.hset(part.profiles, key, packed)
    assert comparing.compare(world_of).is_clean

    told = world_of.ledger.events.pop()
    assert comparing.compare(world_of).doubled == 1
    world_of.ledger.events += [told, told | {"timestamp": "2026-01-01T00:00:00.000Z"}]
    assert comparing.compare(world_of).lost == 1
    world_of.ledger.events.pop()

    feed = world_of.feeds[0]
    world_of.feeds[0] = Feed(feed.list_id, feed.audiences[1:])
    assert comparing.compare(world_of).rows > 0
    world_of.feeds[0] = feed
