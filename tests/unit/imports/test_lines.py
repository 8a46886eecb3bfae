"""Lines that are made a page at a time are those of the events that each row defines by itself."""

from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listbridge.campaign_monitor.events import (
    Account,
    numbering,
    report_event,
    status_event,
    without_places,
)
from listbridge.campaign_monitor.lines import ReportLines, StateLines
from listbridge.campaign_monitor.models import Campaign, StoredValue, Subscriber
from listbridge.campaign_monitor.reports import (
    Bounce,
    Click,
    Open,
    Recipient,
    Sent,
    SpamComplaint,
    Unsubscribe,
)
from listbridge.streams.events import MAX_TEXT, Event, Unreadable
from listbridge.streams.lines import Line, line_of

NOW = 1_760_000_000_123
LONG = "x" * (MAX_TEXT + 1)

some_text = st.text(st.characters(codec="utf-8"), max_size=12)
texts = st.one_of(some_text, st.sampled_from(["", '"', "\\", "\n", "\u2028", "é", LONG]))
perhaps = st.one_of(st.none(), texts)
addresses = st.one_of(
    st.sampled_from(["ann@example.com", "Ann@Example.com", "bob@example.com", "Bob <bob@example.com>"]),
    st.sampled_from(["", "nobody", "a@b@c", "ünï@example.com", f"{LONG} <long@example.com>"]),
)
lists = st.sampled_from(["l1", "l2", "l3"])
dates = st.sampled_from(
    [
        "2024-03-01 09:00:00",
        "2024-03-01 09:00",
        "2024-03-01 09:01:00",
        "2024-10-06 02:30:00",
        "2024-04-07 02:30:00",
        "1969-12-31 23:59:00",
        "2024-02-30 10:00:00",
        "yesterday",
    ]
)
ips = st.one_of(st.sampled_from(["100.64.0.1", "100.64.0.2", "", LONG]), st.none())
angles = st.one_of(st.none(), st.floats(-180, 180), st.sampled_from([0.0, -0.0]))
place = {
    "email_address": addresses,
    "list_id": lists,
    "date": dates,
    "ip_address": ips,
    "latitude": angles,
    "longitude": angles,
    "city": perhaps,
    "region": perhaps,
    "country_code": perhaps,
    "country_name": perhaps,
}
who = {"email_address": addresses, "list_id": lists}
REPORTS = {
    "opens": st.builds(Open, **place),
    "clicks": st.builds(Click, **place, url=st.sampled_from(["", "https://a.example/x", LONG])),
    "recipients": st.one_of(st.builds(Recipient, **who), st.builds(Sent, **who, date=dates)),
    "bounces": st.builds(Bounce, **who, date=dates, bounce_type=texts, reason=perhaps),
    "unsubscribes": st.builds(Unsubscribe, **who, date=dates, ip_address=ips),
    "spam": st.builds(SpamComplaint, **who, date=dates),
}
values = st.builds(StoredValue, st.sampled_from(["[Plan]", "plan", "City of birth", ""]), perhaps)
people = st.builds(
    Subscriber,
    email_address=addresses,
    date=dates,
    state=st.sampled_from(["Active", "Unsubscribed", "Deleted", "Bounced", "Odd", ""]),
    name=perhaps,
    list_joined_date=st.one_of(st.none(), st.just(""), dates),
    custom_fields=st.lists(values, max_size=4).map(tuple),
)
accounts = st.builds(
    Account,
    st.just("c1"),
    st.sampled_from(["Client", "", 'Quote " and é', LONG]),
    st.sampled_from([ZoneInfo("Australia/Sydney"), ZoneInfo("America/Los_Angeles"), ZoneInfo("UTC")]),
    st.sampled_from([{"l1": "First", "l2": ""}, {"l1": "First", "l3": "Third"}]),
)
campaigns = st.builds(Campaign, st.just("k1"), texts, dates)


def plainly(make, row, stream):
    try:
        made = make(row)
    except ValueError as error:
        return Unreadable(stream, msgspec.json.encode(row), str(error))
    return made if isinstance(made, Unreadable) else line_of(made, NOW)


def told(line):
    """A line with what its body says, in whichever order."""
    return msgspec.structs.replace(line, body=b""), msgspec.json.decode(line.body)


def check(lines, rows, make):
    events, unreadable = lines.made(rows, NOW)
    expected = [plainly(make, row, lines.stream) for row in rows]
    written = [line_of(each, NOW) if isinstance(each, Event) else each for each in events]
    assert [told(each) for each in written] == [told(each) for each in expected if isinstance(each, Line)]
    assert unreadable == [each for each in expected if isinstance(each, Unreadable)]


@pytest.mark.parametrize("report", REPORTS)
def test_lines_of_reports_are_those_of_their_events(report):
    @settings(max_examples=60, deadline=None)
    @given(accounts, campaigns, st.lists(REPORTS[report], max_size=12), st.booleans())
    def holds(account, campaign, rows, with_places):
        number = numbering()

        def make(row):
            made = report_event(account, campaign, report, row, number)
            return without_places(made) if isinstance(made, Event) and not with_places else made

        lines = ReportLines(account, campaign, report, {"l1", "l2"}, with_places=with_places)
        kept = [row for row in rows if row.list_id in ("l1", "l2")]
        check(lines, kept, make)
        assert lines.made(rows, NOW) == lines.made(kept, NOW)

    holds()


@settings(max_examples=200, deadline=None)
@given(accounts, st.lists(people, max_size=8))
def test_lines_of_states_are_those_of_their_events(account, rows):
    check(StateLines(account, "l1"), rows, lambda row: status_event(account, "l1", row))


def test_usual_rows_are_encoded_without_an_event():
    account = Account("c1", "Client", ZoneInfo("UTC"), {"l1": "First"})
    campaign = Campaign("k1", "News", "2024-03-01 09:00")
    rows = {
        "opens": Open("Ann@Example.com", "l1", "2024-03-01 09:00", "100.64.0.1", city="Perth"),
        "clicks": Click("ann@example.com", "l1", "2024-03-01 09:00", url="https://a.example/x"),
        "recipients": Recipient("ann@example.com", "l1"),
    }
    for report, row in rows.items():
        events, _ = ReportLines(account, campaign, report, {"l1"}, with_places=True).made([row], NOW)
        assert [type(each) for each in events] == [Line]
    person = Subscriber("ann@example.com", "2024-03-01 09:00", "Active", "Ann")
    assert [type(each) for each in StateLines(account, "l1").made([person], NOW)[0]] == [Line]


def test_an_earlier_page_counts_no_equal_rows_of_a_later_one():
    account = Account("c1", "Client", ZoneInfo("UTC"), {"l1": "First"})
    lines = ReportLines(account, Campaign("k1", "News", ""), "opens", {"l1"}, with_places=True)
    row = Open("ann@example.com", "l1", "2024-03-01 09:00", "100.64.0.1")
    first, again = lines.made([row, row], NOW), lines.made([row, row], NOW)
    assert first == again
    assert len({each.id for each in first[0]}) == 2
