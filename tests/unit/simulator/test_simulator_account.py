"""Generated accounts, people's acts, segments, and the log of overridden opt-outs."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from simulator import activity, people, segments, subscribing
from simulator.account import Account, Segment, Webhook
from simulator.clock import Clock, moment
from simulator.errors import ApiError, UnknownPerson
from simulator.faults import Fault
from simulator.generate import generate
from simulator.records import records
from simulator.switches import Switches
from simulator.timezones import DEFAULT, IANA, zone


@pytest.fixture(scope="module")
def generated():
    return generate(people=600, activity_rows=8000, clock=Clock(datetime(2026, 5, 1, tzinfo=UTC)))


def campaigns_of(account):
    return [campaign for client in account.clients.values() for campaign in client.campaigns.values()]


def lists_of(account):
    return [owner for client in account.clients.values() for owner in client.lists.values()]


def test_the_reports_hold_the_wanted_rows_in_the_usual_shares(generated):
    rows = Counter()
    for campaign in campaigns_of(generated):
        rows.update({name: len(report) for name, report in campaign.reports.items()})
    total = rows.total()
    assert total == pytest.approx(8000, rel=0.05)
    assert rows["recipients"] / total == pytest.approx(0.55, abs=0.06)
    assert rows["opens"] / total == pytest.approx(0.32, abs=0.06)
    assert rows["clicks"] / total == pytest.approx(0.10, abs=0.03)


def test_all_five_states_and_names_of_many_scripts_occur(generated):
    everyone = [person for owner in lists_of(generated) for person in owner.subscribers.values()]
    assert {person.state for person in everyone} == {
        "Active",
        "Unconfirmed",
        "Unsubscribed",
        "Bounced",
        "Deleted",
    }
    assert any(not person.name.isascii() for person in everyone)


@pytest.mark.parametrize(
    ("report", "state"), [("unsubscribes", "Unsubscribed"), ("spam", "Unsubscribed"), ("bounces", "Bounced")]
)
def test_who_left_in_a_report_has_left_the_list_at_that_minute(generated, report, state):
    rows = [row for campaign in campaigns_of(generated) for row in campaign.reports[report].rows()]
    assert rows
    for row in rows:
        if getattr(row, "BounceType", "Hard") == "Hard":
            person = generated.find_list(row.ListID).find(row.EmailAddress)
            assert (person.state, person.date) == (state, row.Date)


def test_nobody_is_sent_a_campaign_before_joining_or_after_leaving(generated):
    for campaign in campaigns_of(generated):
        for row in campaign.reports["recipients"].rows():
            person = generated.find_list(row.ListID).find(row.EmailAddress)
            assert person.joined <= campaign.sent_date
            assert person.state == "Active" or person.date >= campaign.sent_date


def test_activity_is_skewed_and_holds_identical_clicks(generated):
    clicks = Counter(row for campaign in campaigns_of(generated) for row in campaign.reports["clicks"].rows())
    assert max(clicks.values()) > 1
    opens = Counter(
        row.EmailAddress for campaign in campaigns_of(generated) for row in campaign.reports["opens"].rows()
    )
    busiest = sum(count for _, count in opens.most_common(len(opens) // 10))
    assert busiest > opens.total() * 0.3


def test_no_report_row_lies_in_the_future(generated):
    latest = max(
        row.Date
        for campaign in campaigns_of(generated)
        for name in ("opens", "clicks", "unsubscribes")
        for row in campaign.reports[name].rows()
    )
    assert latest <= moment(generated.clock.now(), zone(DEFAULT)).minute


def test_the_same_seed_and_time_give_the_same_account():
    def make(seed):
        clock = Clock(datetime(2026, 5, 1, tzinfo=UTC))
        made = records(generate(people=60, activity_rows=500, seed=seed, clock=clock))
        del made["now"]
        return made

    assert make(3) == make(3)
    assert make(3) != make(4)


def test_scale_multiplies_people_and_rows():
    account = generate(people=50, activity_rows=400, campaigns=3, scale=3)
    rows = sum(len(report) for campaign in campaigns_of(account) for report in campaign.reports.values())
    assert rows == pytest.approx(1200, rel=0.05)


def test_every_time_zone_label_has_a_zone():
    assert all(zone(label).key == name for label, name in IANA.items())


def test_new_activity_is_recent_and_leavers_are_announced():
    account = generate(people=300, activity_rows=2000)
    for owner in lists_of(account):
        hook = Webhook("h", owner.list_id, ["Deactivate"], "http://example.org", "Json")
        owner.webhooks["h"] = hook
    added = activity.produce(account, 1000, seed=5)
    assert sum(added.values()) == 1000
    assert added["unsubscribes"] > 0
    told = [event for event in account.webhook_events if event.event["Type"] == "Deactivate"]
    assert len(told) >= added["unsubscribes"]
    assert {event.cause for event in told} == {"human"}


# --- one small account ---------------------------------------------------------------------------


@pytest.fixture
def account():
    made = Account("key", clock=Clock(datetime(2026, 5, 1, 12, 0, 31, tzinfo=UTC)), switches=Switches())
    client = made.add_client("Meridian Travel")
    made.add_list(client, "Newsletter")
    made.add_list(client, "Deals")
    return made


def row(email, **more):
    return {"emailaddress": email, "consenttotrack": "yes", **more}


def import_one(account, target, email, resubscribe=False):
    at = account.moment(target.client)
    return subscribing.import_rows(account, target, [row(email)], resubscribe, at)


@pytest.mark.parametrize("how", ["unsubscribe", "delete", "spam"])
def test_an_import_that_overrides_an_opt_out_is_logged(account, how):
    target = lists_of(account)[0]
    people.act(account, "subscribe", target.list_id, "a@example.org", {})
    people.act(account, how, target.list_id, "a@example.org", {})
    assert import_one(account, target, "a@example.org").failures
    assert account.added_after_opt_out == []
    assert not import_one(account, target, "A@Example.org", resubscribe=True).failures
    assert [log["email"] for log in account.added_after_opt_out] == ["a@example.org"]
    import_one(account, target, "a@example.org", resubscribe=True)
    assert len(account.added_after_opt_out) == 1


def test_a_human_who_comes_back_is_no_override(account):
    target = lists_of(account)[0]
    for act in ("subscribe", "unsubscribe", "subscribe"):
        people.act(account, act, target.list_id, "a@example.org", {})
    import_one(account, target, "a@example.org", resubscribe=True)
    assert account.added_after_opt_out == []


def test_adding_a_suppressed_stranger_is_logged(account):
    one, other = lists_of(account)
    one.unsubscribe_setting = "AllClientLists"
    people.act(account, "subscribe", one.list_id, "a@example.org", {})
    people.act(account, "unsubscribe", one.list_id, "a@example.org", {})
    import_one(account, other, "a@example.org")
    assert [log["how"] for log in account.added_after_opt_out] == ["suppressed"]


def test_unsubscribing_from_all_client_lists_ends_every_subscription(account):
    one, other = lists_of(account)
    one.unsubscribe_setting = "AllClientLists"
    for owner in (one, other):
        people.act(account, "subscribe", owner.list_id, "a@example.org", {})
    people.act(account, "unsubscribe", one.list_id, "a@example.org", {})
    assert [owner.find("a@example.org").state for owner in (one, other)] == ["Unsubscribed"] * 2
    assert one.client.suppressed["a@example.org"].date == "2026-05-01 22:00:31"
    assert one.find("a@example.org").date == "2026-05-01 22:00:00"


def test_a_changed_address_keeps_the_opt_out(account):
    target = lists_of(account)[0]
    people.act(account, "subscribe", target.list_id, "a@example.org", {})
    people.act(account, "unsubscribe", target.list_id, "a@example.org", {})
    people.act(account, "change-email", target.list_id, "a@example.org", {"new_email": "b@example.org"})
    import_one(account, target, "b@example.org", resubscribe=True)
    assert [log["email"] for log in account.added_after_opt_out] == ["b@example.org"]


@pytest.mark.parametrize("action", ["unsubscribe", "delete", "bounce"])
@pytest.mark.parametrize("resubscribe", [False, True])
def test_an_update_gives_an_inactive_person_the_address_and_leaves_the_state(account, action, resubscribe):
    target = lists_of(account)[0]
    people.act(account, "subscribe", target.list_id, "a@example.org", {})
    people.act(account, action, target.list_id, "a@example.org", {})
    state = target.find("a@example.org").state
    sent = {"emailaddress": "b@example.org", "consenttotrack": "Unchanged"}

    subscribing.update(account, target, "A@example.org", sent, resubscribe, account.moment(target.client))

    assert target.find("a@example.org") is None
    assert target.find("b@example.org").state == ("Active" if resubscribe else state)


def test_an_update_of_an_address_that_was_written_just_now_is_refused(account):
    account.switches.change({"too_fast_seconds": 60})
    target = lists_of(account)[0]
    import_one(account, target, "a@example.org")
    with pytest.raises(ApiError) as caught:
        subscribing.update(
            account, target, "a@example.org", {"consenttotrack": "no"}, False, account.moment(target.client)
        )
    assert caught.value.code == 429


def test_nobody_can_act_for_a_stranger(account):
    with pytest.raises(UnknownPerson):
        people.act(account, "unsubscribe", lists_of(account)[0].list_id, "a@example.org", {})


def test_an_interjection_takes_the_same_people_every_time(account):
    target = lists_of(account)[0]
    people.act(account, "subscribe", target.list_id, "p1@example.org", {})
    emails = [f"p{number}@example.org" for number in range(10)]
    chosen = people.interject(account, target, emails, "unsubscribe", 3)
    assert len(chosen) == 3
    assert {target.find(email).state for email in chosen} == {"Unsubscribed"}
    assert not set(chosen) & set(people.interject(account, target, emails, "unsubscribe", 3))


def test_duplicates_in_an_import_are_named_and_the_last_row_counts(account):
    target = lists_of(account)[0]
    rows = [row("a@example.org", name="One"), row("b@example.org"), row("A@example.org", name="Two")]
    result = subscribing.import_rows(account, target, rows, False, account.moment(target.client))
    assert (result.unique, result.new, result.duplicates) == (2, 2, ["A@example.org"])
    assert target.find("a@example.org").name == "Two"


@pytest.mark.parametrize(("rows", "code"), [(0, 212), (1001, 209)])
def test_an_import_of_a_wrong_size_stores_nothing(account, rows, code):
    target = lists_of(account)[0]
    with pytest.raises(ApiError) as caught:
        subscribing.import_rows(
            account,
            target,
            [row(f"{n}@example.org") for n in range(rows)],
            False,
            account.moment(target.client),
        )
    assert caught.value.code == code
    assert not target.subscribers


@pytest.mark.parametrize(
    ("email", "change", "code"),
    [
        ("nobody@example.org", {}, 203),
        ("a@example.org", {"emailaddress": "b@example.org"}, 201),
        ("a@example.org", {"emailaddress": "nonsense"}, 211),
        ("a@example.org", {"consenttotrack": None}, -213),
    ],
)
def test_an_update_is_refused(account, email, change, code):
    target = lists_of(account)[0]
    for one in ("a@example.org", "b@example.org"):
        import_one(account, target, one)
    sent = {"consenttotrack": "yes", **change}
    with pytest.raises(ApiError) as caught:
        subscribing.update(account, target, email, sent, False, account.moment(target.client))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("rule_type", "clause", "code", "clause_code"),
    [
        ("EmailAddress", "CONTAINS @example", 0, 0),
        ("[Interests]", "EQUALS Beaches", 0, 0),
        ("Date of birth", "AFTER 1990-01-01", 0, 0),
        ("", "EQUALS x", 2704, 0),
        ("Shoe size", "EQUALS 44", 2705, 0),
        ("Name", "", 2706, 0),
        ("EmailAddress", "SMELLS x", 2703, 2713),
        ("EmailAddress", "CONTAINS", 2703, 2719),
        ("[Interests]", "EQUALS Skydiving", 2703, 2722),
        ("[Interests]", "CONTAINS Beaches", 2703, 2717),
        ("Trips", "EQUALS many", 2703, 2721),
        ("Trips", "BETWEEN 1 AND x", 2703, 2756),
        ("DateSubscribed", "AFTER 1/1/2010", 2703, 2720),
        ("CampaignOpened", "0123", 2703, 2750),
    ],
)
def test_a_segment_rule_is_checked(generated, rule_type, clause, code, clause_code):
    target = lists_of(generated)[0]
    sent = [{"rules": [{"ruletype": rule_type, "clause": clause}]}]
    if code == 0:
        kept = segments.check_groups(target, sent)
        assert kept == [{"Rules": [{"RuleType": rule_type, "Clause": clause}]}]
        return
    with pytest.raises(ApiError) as caught:
        segments.check_groups(target, sent)
    (result,) = caught.value.data
    assert (result["Code"], result["ClauseResults"][0]["Code"]) == (code, clause_code)


def test_groups_are_anded_and_rules_are_ored(generated):
    target = lists_of(generated)[0]

    def found(*groups):
        kept = [
            {"Rules": [{"RuleType": "[Interests]", "Clause": clause} for clause in group]} for group in groups
        ]
        return {person.email for person in segments.members(Segment("s", target, "t", kept))}

    beaches, hiking = found(["EQUALS Beaches"]), found(["EQUALS Hiking"])
    assert found(["EQUALS Beaches", "EQUALS Hiking"]) == beaches | hiking
    assert found(["EQUALS Beaches"], ["EQUALS Hiking"]) == beaches & hiking
    assert beaches & hiking
    assert found(["NOT_PROVIDED"]).isdisjoint(found(["PROVIDED"]))


def test_the_clock_moves_and_keeps_running():
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(3600)
    assert timedelta(0) <= clock.now() - datetime(2026, 1, 1, 1, tzinfo=UTC) < timedelta(seconds=5)


def test_a_fault_waits_its_turn_and_is_used_up():
    fault = Fault(match="import", kind="500", after=1, times=2)
    calls = ["POST /import", "GET /lists", "POST /import", "POST /import", "POST /import"]
    assert [fault.hit(call) for call in calls] == [False, False, True, True, False]


def test_the_books_tell_when_the_caller_had_looked(account):
    one, other = lists_of(account)
    one.unsubscribe_setting = "AllClientLists"
    for email in ("a@example.org", "b@example.org"):
        people.act(account, "subscribe", one.list_id, email, {})
        people.act(account, "unsubscribe", one.list_id, email, {})
    import_one(account, other, "a@example.org")
    account.note_look()
    looked_at = account.moment(one.client).utc[:19]
    import_one(account, other, "b@example.org")
    assert [log["looked_at"][:19] for log in account.added_after_opt_out] == ["", looked_at]
