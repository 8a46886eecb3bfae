import threading

import pytest

import webhooks.app
from webhooks import ringing
from webhooks.wiring import ring


@pytest.fixture
def sent(monkeypatch):
    """What the tasks were asked, in place of Celery."""
    calls = []

    class Task:
        def __init__(self, name):
            self.name = name

        def apply_async(self, args=(), **options):
            assert options == {"retry": False}
            calls.append((self.name, *args))

    class Tasks:
        fold, pull, plan = Task("fold"), Task("pull"), Task("plan")

        @staticmethod
        def ring_deliver(list_id):
            calls.append(("deliver", list_id))

    monkeypatch.setattr(ringing, "_tasks", lambda: Tasks)
    return calls


def test_each_bell_sends_its_task(sent):
    bells = ringing.celery_bells()
    bells.fold()
    bells.deliver("l1")
    bells.pull("w1")
    bells.plan("w2")
    all_rung = threading.Event()
    ringing.waiting().put((all_rung.set, ()))
    assert all_rung.wait(5)
    assert sent == [("fold",), ("deliver", "l1"), ("pull", "w1"), ("plan", "w2")]


def test_nobody_waits_for_a_broker_that_hangs(monkeypatch, sent):
    answers, tasks = threading.Event(), ringing._tasks()
    monkeypatch.setattr(ringing, "_tasks", lambda: answers.wait(10) and tasks)
    ringing.celery_bells().fold()
    assert sent == []
    answers.set()
    all_rung = threading.Event()
    ringing.waiting().put((all_rung.set, ()))
    assert all_rung.wait(5)
    assert sent == [("fold",)]


def test_a_bell_that_fails_is_logged_without_its_words(caplog):
    def fail(_):
        raise OSError("redis://:secret@broker")

    ring(fail, "l1")
    assert "a worker could not be asked (OSError); the sweep finds the work" in caplog.text
    assert "secret" not in caplog.text


def test_the_application_is_built_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(webhooks.app, "_app", lambda: "built")
    assert webhooks.app.app == "built"
    with pytest.raises(AttributeError, match="has no attribute 'application'"):
        webhooks.app.application  # noqa: B018
