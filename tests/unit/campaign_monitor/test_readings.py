"""The questions' table, and what of the answers is used."""

import pytest

from listbridge.campaign_monitor import readings as q
from listbridge.doctor.answers import TRIALS
from listbridge.doctor.suppression_answers import SUPPRESSION_TRIALS
from listbridge.learned import VERSION, Answer, Learned


def learned(**answers):
    made = {name: Answer(value=value) for name, value in answers.items()}
    return Learned(version=VERSION, at=1, answers=made)


def test_every_question_has_a_trial():
    assert [each.name for each in q.QUESTIONS] == list(TRIALS)
    assert [each.name for each in q.SUPPRESSION_QUESTIONS] == list(SUPPRESSION_TRIALS)


def test_what_may_be_otherwise_says_what_to_do():
    assert all(bool(each.fine) == bool(each.otherwise) for each in q.ASKED.values())


@pytest.mark.parametrize(
    ("answer", "verb"),
    [("EQUALS", "EQUALS"), ("CONTAINS", "CONTAINS"), ("none", "EQUALS"), ("", "EQUALS")],
)
def test_the_verb_of_segments(answer, verb):
    assert q.option_verb(learned(option_verb=answer)) == verb
    assert q.option_verb(None) == "EQUALS"


@pytest.mark.parametrize(("answer", "told"), [("append", True), ("replace", False), ("", False)])
def test_whether_values_join(answer, told):
    assert q.joins(learned(multi_select_import=answer)) is told
    assert q.joins(None) is False


@pytest.mark.parametrize(("answer", "told"), [("cleared", True), ("kept", False), ("", False)])
def test_whether_fields_are_emptied(answer, told):
    assert q.empties_unnamed(learned(absent_key_import=answer)) is told
    assert q.empties_unnamed(None) is False
