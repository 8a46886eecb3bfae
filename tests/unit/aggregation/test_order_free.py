"""A profile is a function of the set of its events, whatever their order and batches.

`reckon` is the shipped tables once more, event by event in plain Python.
"""

import random
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import urlsplit

import siphash24
from hypothesis import given, settings
from hypothesis import strategies as st

from listbridge.aggregation import View, merge, reduce, view

PEOPLE = {"ann@x.se": ["ann@x.se", "Ann <Ann@X.se>"], "bob@y.de": ["bob@y.de", "BOB@y.de (Bob)"]}
TIMES = st.sampled_from([1_700_000_000_000 + minute * 60_000 for minute in (0, 61, 50_000)])
RECEIVED = TIMES.filter(lambda time: time != 1_700_000_000_000)


def some(*values):
    return st.sampled_from([None, "", *values])


def events_of(stream, **fields):
    def address(event):
        return st.sampled_from([None, "", "nobody", *PEOPLE[event["_key"]]]).map(
            lambda text: event | {"email": text}
        )

    meta = {
        "_stream": st.just(stream),
        "_key": st.sampled_from([*PEOPLE]),
        "_time": TIMES,
        "_received": RECEIVED,
    }
    return st.fixed_dictionaries(meta | fields).flatmap(address)


CLIENT = {"client_id": some("c1", "c2"), "client_name": some("C")}
LIST = {"list_id": some("l1", "l2"), "list_name": some("L", "M")}
EVENTS = st.one_of(
    events_of(
        "cm_user",
        name=some("Ann", "Bob"),
        status=some("active", "deleted"),
        origin=some("self", "other"),
        joined_at=st.sampled_from([None, 1_700_000_000_001, 1_800_000_000_000]),
        **CLIENT,
        **LIST,
    ),
    events_of(
        "cm_activity",
        event=some("open", "click", "sent", "subscribe", "deactivate", "Open"),
        status=some("unsubscribe", "spam"),
        origin=some("self", "other"),
        campaign_id=some("m1", "m2"),
        campaign_name=some("M"),
        url=some("https://x.se/a?b=c", "https://X.se/a", "http://x.se:port/", "/a/b", "mailto:a@b.se"),
        city=some("Malmö", "Zürich"),
        region=some("Skåne"),
        cc=some("SE", "CH"),
        **CLIENT,
        **LIST,
    ),
    events_of(
        "audience",
        audience=some("vip", "new"),
        event=some("enter", "exit"),
        fields=st.none()
        | st.dictionaries(st.sampled_from(["plan", "age", ""]), st.sampled_from(["1", "2", ""])),
        opted_in_at=st.sampled_from([None, -1, 0, 1_700_000_000_001, 10**17]),
    ),
)

OPERATIONS = {
    "email email_domain country_code city region cm_name": "latest",
    "cm_clickct cm_openct cm_sendct": "sum",
    "cm_lastclick_ts cm_lastopen_ts cm_unsub_ts last_active_ts opted_in_at subscribed_at": "max",
    "cm_firstclick_ts cm_firstopen_ts": "min",
    "channels cm_campaign_ids cm_campaign_names cm_client_ids cm_client_names cm_listids cm_list_names "
    "cm_email_urls": "set",
    "cm_email_event hashedurls cm_hourlyopen cm_hourofweek cm_monthly": "counts",
    "cm_list_ids_status cm_list_names_status audiences attributes": "latest_map",
}
OPERATION = {name: operation for names, operation in OPERATIONS.items() for name in names.split()}


def address_of(text):
    return next((key for key, spellings in PEOPLE.items() if text in spellings), None)


def pairs(key, value):
    return {key: value} if key and value else None


def page_hash(url):
    if not url or url.endswith(":port/") or url.startswith("mailto:"):
        return None
    parts = urlsplit(url)
    page = parts.netloc + parts.path
    digest = siphash24.siphash24(page.encode(), key=b"\0" * 8 + b"\1" + b"\0" * 7).digest()
    return str(int.from_bytes(digest, "little", signed=True))


def of_user(event):
    return {
        "cm_list_ids_status": pairs(event["list_id"], event["status"]),
        "cm_list_names_status": pairs(event["list_name"], event["status"]),
        "cm_name": event["name"],
        "cm_client_ids": event["client_id"],
        "cm_client_names": event["client_name"],
        "subscribed_at": event["joined_at"] if event["origin"] != "self" else None,
    }


def of_audience(event):
    opted_in_at = event["opted_in_at"]
    return {
        "audiences": pairs(event["audience"], event["event"]),
        "attributes": {key: value for key, value in (event["fields"] or {}).items() if key and value},
        "opted_in_at": None if opted_in_at == 10**17 else opted_in_at,
    }


def of_activity(event):
    what, time = event["event"], event["_time"]
    moment = datetime.fromtimestamp(time // 1000, UTC)
    active = what in ("open", "click", "subscribe") and event["origin"] != "self"
    found = {
        "country_code": event["cc"],
        "city": event["city"],
        "region": event["region"],
        "cm_campaign_ids": event["campaign_id"],
        "cm_campaign_names": event["campaign_name"],
        "cm_client_ids": event["client_id"],
        "cm_client_names": event["client_name"],
        "cm_listids": event["list_id"],
        "cm_list_names": event["list_name"],
        "cm_email_urls": event["url"],
        "cm_email_event": what,
        "last_active_ts": time if active else None,
        "channels": "email" if active else None,
    }
    if what == "deactivate" and event["status"] == "unsubscribe":
        found["cm_unsub_ts"] = time
    if what == "subscribe" and event["origin"] != "self":
        found["subscribed_at"] = time
    if what in ("open", "click"):
        found |= {
            f"cm_first{what}_ts": time,
            f"cm_last{what}_ts": time,
            "hashedurls": page_hash(event["url"]),
        }
    if what in ("open", "click", "sent"):
        found[{"open": "cm_openct", "click": "cm_clickct", "sent": "cm_sendct"}[what]] = 1
    if what == "open":
        found["cm_hourlyopen"] = str(moment.hour)
        found["cm_hourofweek"] = str(moment.isoweekday() % 7 * 24 + moment.hour)
        found["cm_monthly"] = f"{moment.year % 100:02}{moment.month:02}"
    return found


def add(states, name, value, time, received):
    stamped = [time, received, value]
    match OPERATION[name]:
        case "latest":
            states[name] = max(states.get(name, stamped), stamped)
        case "sum":
            states[name] = states.get(name, 0) + value
        case "max":
            states[name] = max(states.get(name, value), value)
        case "min":
            states[name] = min(states.get(name, value), value)
        case "set":
            states[name] = sorted({*states.get(name, []), value})
        case "counts":
            counts = states.setdefault(name, {})
            counts[value] = counts.get(value, 0) + 1
        case "latest_map":
            for key, one in value.items():
                held = states.setdefault(name, {})
                held[key] = max(held.get(key, [time, received, one]), [time, received, one])


def reckon(events):
    people = defaultdict(dict)
    for event in events:
        found = {"cm_user": of_user, "cm_activity": of_activity, "audience": of_audience}[event["_stream"]](
            event
        )
        address = address_of(event["email"])
        found |= {"email": address, "email_domain": address and address.split("@")[1]}
        for name, value in found.items():
            if value not in (None, "", {}):
                add(people[event["_key"]], name, value, event["_time"], event["_received"])
    return dict(people)


def fold(program, frame, batches):
    """Reduce each batch, one reduce for each of its streams, and merge from left to right."""
    people = {}
    for batch in batches:
        for stream in sorted({event["_stream"] for event in batch}):
            rows = [
                {name: value for name, value in event.items() if name != "_stream"}
                for event in batch
                if event["_stream"] == stream
            ]
            for key, partial in reduce(frame(stream, rows), program, stream).items():
                people[key] = merge(program, people.get(key, {}), partial)
    return people


def split(events, cuts):
    edges = [0, *sorted(cut % (len(events) + 1) for cut in cuts), len(events)]
    return [events[start:end] for start, end in pairwise(edges) if start < end]


def by_name(program, partial):
    return {name: partial[field.number] for name, field in program.fields.items() if field.number in partial}


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(EVENTS, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_order_and_any_batches_give_what_event_by_event_reckoning_gives(
    frame, program, events, cuts, shuffle: random.Random
):
    expected = reckon(events)
    once = fold(program, frame, [events])
    shuffled = list(events)
    shuffle.shuffle(shuffled)
    pieces = split(shuffled, cuts)
    folded = fold(program, frame, pieces)
    assert {key: by_name(program, partial) for key, partial in folded.items()} == expected
    assert folded == once
    assert {key: view(program, partial) for key, partial in folded.items()} == {
        key: view(program, partial) for key, partial in once.items()
    }
    assert {key: dict(View(program, partial)) for key, partial in folded.items()} == {
        key: view(program, partial) for key, partial in folded.items()
    }


@settings(max_examples=30, deadline=None)
@given(batches=st.tuples(*[st.lists(EVENTS, min_size=1, max_size=6)] * 3))
def test_merge_is_commutative_and_associative(frame, program, batches):
    a, b, c = (fold(program, frame, [batch]).get("ann@x.se", {}) for batch in batches)
    assert merge(program, a, b) == merge(program, b, a)
    assert merge(program, merge(program, a, b), c) == merge(program, a, merge(program, b, c))
    assert merge(program, a, {}) == a
