"""When imports run: on their beats, daily, or because somebody says so; never two runs at a time."""

import pytest

from listbridge.jobs import pull as pull_job
from listbridge.jobs.sweep import sweep
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.workflows import service
from listbridge.workflows.models import State
from listbridge.workflows.schedule import MINUTE_MS, next_daily

DAY_MS = 24 * 60 * MINUTE_MS


@pytest.fixture
def importer(importer_of):
    return importer_of(small_pages=False, campaigns=2, people=30, activity_rows=200)


def later(importer, workflow, ms):
    """As if so much time had passed."""
    name = keys.workflow(workflow.id)
    wake_at = importer.state(workflow).wake_at
    importer.context.store.client.hset(name, "wake_at", wake_at - ms)


def test_the_next_run_is_a_beat_after_the_last_ones_beginning(importer):
    workflow = importer.create(keep_updated=True, every_minutes=10, webhooks=False)
    before = now_ms()
    importer.run(workflow)
    held = importer.state(workflow)
    assert held.state is State.SLEEPING
    assert before + 10 * MINUTE_MS <= held.wake_at <= now_ms() + 10 * MINUTE_MS
    assert importer.run(workflow) is None, "it ran before its time"
    assert sweep(importer.context).imports == ()


def test_an_import_that_is_run_daily_waits_for_its_time(importer):
    workflow = importer.create(
        keep_updated=True, daily_at="03:30", daily_zone="Asia/Kathmandu", webhooks=False
    )
    importer.run(workflow)
    assert importer.state(workflow).wake_at == next_daily("03:30", "Asia/Kathmandu", now_ms())


@pytest.mark.parametrize("schedule", [{"every_minutes": 10}, {"daily_at": "03:30"}])
def test_beats_that_were_missed_are_caught_up_once(importer, schedule):
    workflow = importer.create(keep_updated=True, webhooks=False, **schedule)
    importer.run(workflow)
    later(importer, workflow, 5 * DAY_MS)
    assert sweep(importer.context).imports == (workflow.id,)
    importer.run(workflow)
    assert importer.state(workflow).wake_at > now_ms()
    assert sweep(importer.context).imports == ()
    assert service.shown(importer.context, workflow)["progress"]["runs"] == 2


def test_a_run_that_takes_longer_than_a_beat_is_followed_by_the_next_beat(importer, monkeypatch):
    workflow = importer.create(keep_updated=True, every_minutes=10, webhooks=False)
    began = now_ms() - 25 * MINUTE_MS
    monkeypatch.setattr(pull_job, "begin", lambda *_: began)
    importer.run(workflow)
    assert importer.state(workflow).wake_at == began + 30 * MINUTE_MS


def test_somebody_can_have_it_run_now_and_the_schedule_goes_on(importer):
    workflow = importer.create(keep_updated=True, every_minutes=10, webhooks=False)
    importer.run(workflow)
    service.run_now(importer.context, workflow.id)
    assert service.run_now(importer.context, workflow.id).state is State.RUNNING
    importer.run(workflow)
    assert importer.state(workflow).state is State.SLEEPING
    assert service.shown(importer.context, workflow)["progress"]["runs"] == 2
