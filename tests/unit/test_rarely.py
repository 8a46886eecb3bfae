"""A question is asked now and then, and at once where that matters."""

from listbridge.rarely import Rarely


def test_between_two_questions_the_last_answer_holds(monkeypatch):
    now, answers = [100.0], iter([False, True, False])
    monkeypatch.setattr("listbridge.rarely.time.monotonic", lambda: now[0])
    paused = Rarely(lambda: next(answers), 0.5)

    assert [paused(), paused()] == [False, False]
    now[0] += 0.5
    assert [paused(), paused()] == [True, True]
    assert [paused.now(), paused()] == [False, False]
