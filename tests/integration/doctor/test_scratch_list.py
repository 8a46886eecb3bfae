"""The truth about each question is found whichever way the simulator is switched; nothing stays behind."""

import itertools

import pytest

from listbridge.campaign_monitor import readings as q
from listbridge.doctor import findings
from simulator.faults import Fault

DEFAULTS = {
    q.MULTI_SELECT_IMPORT: "replace",
    q.MULTI_SELECT_UPDATE: "replace",
    q.MEMBERSHIP_ROW: "right",
    q.ABSENT_KEY_IMPORT: "kept",
    q.ABSENT_KEY_UPDATE: "kept",
    q.BARE_KEY: "accepted",
    q.KEY_SPELLING: "bracketed",
    q.EMPTY_VALUE: "kept",
    q.UNKNOWN_KEY: "ignored",
    q.UNKNOWN_OPTION: "dropped",
    q.DUPLICATE_ROWS: "last",
    q.ADDRESS_CASE: "one",
    q.PLUS_ADDRESS: "another",
    q.DATE_FILTER: "inclusive",
    q.SEGMENT_VERBS: "EQUALS, NOT_EQUALS, PROVIDED, NOT_PROVIDED",
    q.OPTION_VERB: "EQUALS",
    q.UNSUBSCRIBED_PLAIN: "unsubscribed",
    q.UNSUBSCRIBED_RESUBSCRIBE: "active",
    q.DELETED_PLAIN: "deleted",
}
SUPPRESSION = {
    q.SUPPRESSING: "active",
    q.SUPPRESSED_IN_LIST: "refused",
    q.SUPPRESSED_ELSEWHERE: "taken",
    q.SUPPRESSED_RESUBSCRIBE: "taken",
    q.RESUBSCRIBE_LIFTS: "yes",
}
EVERY_VERB = "EQUALS, NOT_EQUALS, CONTAINS, PROVIDED, NOT_PROVIDED"


def untouched(clinic):
    """Is the client as it was before?"""
    return list(clinic.client.lists) == [clinic.list.list_id] and not clinic.client.suppressed


@pytest.fixture(autouse=True)
def not_midnight(clinic):
    """Near midnight `date` tells nothing."""
    local = clinic.server.account.clock.now().astimezone(clinic.client.zone)
    if local.hour in (0, 23):
        clinic.client.time_zone = "(GMT) Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London"


def test_every_question_is_answered(clinic):
    assert clinic.answers() == DEFAULTS
    assert untouched(clinic)


@pytest.mark.parametrize(
    ("switches", "otherwise"),
    [
        ({"import_multi_select": "append"}, {q.MULTI_SELECT_IMPORT: "append"}),
        (
            {"absent_key_untouched": False},
            {q.ABSENT_KEY_IMPORT: "cleared", q.ABSENT_KEY_UPDATE: "cleared"},
        ),
        ({"bare_keys": False}, {q.BARE_KEY: "ignored"}),
        ({"bracketed_keys": False}, {q.KEY_SPELLING: "name"}),
        ({"empty_value": "cleared"}, {q.EMPTY_VALUE: "cleared"}),
        ({"unknown_key": "refused"}, {q.UNKNOWN_KEY: "refused"}),
        ({"unknown_option": "stored"}, {q.UNKNOWN_OPTION: "stored"}),
        ({"duplicate_rows": "first"}, {q.DUPLICATE_ROWS: "first"}),
        ({"address_identity": "exact"}, {q.ADDRESS_CASE: "two"}),
        ({"address_identity": "plus"}, {q.PLUS_ADDRESS: "same"}),
        ({"date_filter": "exclusive"}, {q.DATE_FILTER: "exclusive"}),
        ({"date_filter": "day"}, {q.DATE_FILTER: "day"}),
        ({"multi_select_equals": "only"}, {q.OPTION_VERB: "CONTAINS", q.SEGMENT_VERBS: EVERY_VERB}),
        (
            {"multi_select_equals": "refused"},
            {q.OPTION_VERB: "CONTAINS", q.SEGMENT_VERBS: "CONTAINS, PROVIDED, NOT_PROVIDED"},
        ),
        ({"clear_option": "nothing"}, {q.MEMBERSHIP_ROW: "wrong"}),
        (
            {"opt_outs_hold": False},
            {q.UNSUBSCRIBED_PLAIN: "active", q.DELETED_PLAIN: "active"},
        ),
        (
            {"import_multi_select": "append", "bracketed_keys": False, "empty_page_count": 0},
            {q.MULTI_SELECT_IMPORT: "append", q.KEY_SPELLING: "name"},
        ),
    ],
    ids=str,
)
def test_the_truth_is_found(clinic, switches, otherwise):
    clinic.switch(**switches)
    assert clinic.answers() == DEFAULTS | otherwise
    assert untouched(clinic)


@pytest.mark.parametrize(("elsewhere", "lifts"), [*itertools.product(("204", "added"), (True, False))])
def test_the_truth_about_suppression_is_found(clinic, elsewhere, lifts):
    clinic.switch(suppressed_never_in_list=elsewhere, resubscribe_lifts_suppression=lifts)
    expected = {
        q.SUPPRESSED_ELSEWHERE: "refused" if elsewhere == "204" else "taken",
        q.RESUBSCRIBE_LIFTS: "yes" if lifts else "no",
    }
    assert clinic.answers("--suppress") == DEFAULTS | SUPPRESSION | expected
    assert untouched(clinic)


def test_without_leave_nobody_is_suppressed(clinic):
    clinic.answers()
    assert "POST /clients/{client}/suppress" not in clinic.calls()


@pytest.mark.parametrize(
    ("switches", "question"),
    [
        ({"clear_option": "nothing"}, q.MEMBERSHIP_ROW),
        ({"opt_outs_hold": False}, q.UNSUBSCRIBED_PLAIN),
    ],
)
def test_what_would_harm_people_fails(clinic, switches, question):
    clinic.switch(**switches)
    found = clinic.report("--scratch-list", exit_code=1)["by"]["learned", question]
    assert found["outcome"] == "failed"
    assert "pause all exports" in found["remedy"]
    assert clinic.report(exit_code=1)["by"]["learned", question]["outcome"] == "failed"


def test_what_costs_care_is_a_warning(clinic):
    clinic.switch(absent_key_untouched=False)
    found = clinic.report("--scratch-list", exit_code=0)["by"]["learned", q.ABSENT_KEY_IMPORT]
    assert found["outcome"] == "warning"
    assert "export plan" in found["remedy"]


def test_passing_problems_are_waited_out(clinic, monkeypatch):
    monkeypatch.setattr(findings, "PATIENCE_SECONDS", 5.0)
    clinic.server.simulator.faults.add(Fault(kind="500", match="GET .*/subscribers/", times=2, after=1))
    clinic.server.simulator.faults.add(Fault(kind="drop-after", match="POST .*/import", times=2, after=3))
    assert clinic.answers() == DEFAULTS
    assert untouched(clinic)


@pytest.mark.parametrize("path", ["POST .*/lists/", "POST .*/customfields", "POST .*/segments"])
def test_an_answer_that_is_lost_makes_nothing_twice(clinic, path):
    clinic.server.simulator.faults.add(Fault(kind="drop-after", match=path, times=1))
    assert clinic.answers() == DEFAULTS
    assert untouched(clinic)


def test_an_address_that_was_written_too_often_leaves_its_questions_open(clinic):
    clinic.switch(too_fast_seconds=600)
    told = clinic.report("--scratch-list")["learned"]
    assert told[q.MULTI_SELECT_IMPORT]["answer"] is None
    assert "too many times too quickly" in told[q.MULTI_SELECT_IMPORT]["detail"]
    assert told[q.KEY_SPELLING]["answer"] == "bracketed"
    assert untouched(clinic)


def test_what_is_unknown_now_stays_as_it_was_known(clinic):
    clinic.answers("--suppress")
    before = clinic.learned().answers
    clinic.switch(too_fast_seconds=600, bracketed_keys=False)
    clinic.answers()
    after = clinic.learned().answers
    assert after[q.MULTI_SELECT_IMPORT] == before[q.MULTI_SELECT_IMPORT]
    assert after[q.SUPPRESSED_IN_LIST] == before[q.SUPPRESSED_IN_LIST]
    assert (before[q.KEY_SPELLING].value, after[q.KEY_SPELLING].value) == ("bracketed", "name")


def test_segments_that_are_not_counted_in_time_leave_the_verb_open(clinic):
    clinic.server.simulator.faults.add(Fault(kind="500", match="GET .*/segments/", times=-1))
    told = clinic.report("--scratch-list")["learned"]
    assert told[q.OPTION_VERB]["answer"] is None
    assert told[q.UNSUBSCRIBED_PLAIN]["answer"] == "unsubscribed"


def test_a_list_that_can_not_be_deleted_says_what_is_left_behind(clinic):
    clinic.server.simulator.faults.add(Fault(kind="401-permission", match="DELETE .*/lists/", times=-1))
    done = clinic.run("doctor", "--scratch-list")
    [left] = [each for each in clinic.client.lists if each != clinic.list.list_id]
    assert done.exit_code == 1
    assert left in done.output
    assert "delete it in Campaign Monitor" in " ".join(done.output.split())


def test_a_credential_that_may_not_make_lists_is_told(clinic):
    clinic.server.simulator.faults.add(Fault(kind="401-permission", match="POST .*/lists/", times=-1))
    found = clinic.report("--scratch-list", exit_code=1)["by"]["scratch list", ""]
    assert found["outcome"] == "failed"
    assert "permission" in found["found"]


def test_what_was_learned_is_shown(clinic):
    assert "Nothing learned yet" in clinic.run("authorization", "show").output
    clinic.answers()
    shown = clinic.run("authorization", "show", "--json").output
    assert '"multi_select_import"' in shown
    assert '"alpha, beta and then gamma left gamma"' in shown
    assert "secret" not in shown


def test_while_it_learns_it_does_not_say_that_nothing_is_known(clinic):
    said = clinic.run("doctor", "--scratch-list").output
    assert "nothing yet" not in said
    assert "learned  multi_select_import: replace   (" in said
    assert "nothing yet" not in clinic.run("doctor").output


def test_the_client_has_to_be_said_when_there_are_several(clinic):
    other = clinic.server.account.add_client("Another client")
    found = clinic.report("--scratch-list", exit_code=1)["by"]["scratch list", ""]
    assert "--client" in found["remedy"]
    assert clinic.answers("--client", "another CLIENT") == DEFAULTS
    assert not other.lists


def test_it_takes_as_many_calls_as_the_documentation_says(clinic):
    clinic.answers()
    plain = sum(clinic.calls().values())
    clinic.answers("--suppress")
    both = sum(clinic.calls().values()) - plain
    assert plain < 105
    assert both < 145
