"""Generated mappings over all operations: any order, any batches, and a reckoning in plain Python."""

import random
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from listbridge.aggregation import compile_program, merge, parse, reduce, view

KEY = "ann@x.se"
MAX_FLOAT = Fraction(1.7976931348623157e308)
TIMES = st.sampled_from([1_600_000_000_000 + 1000 * step for step in range(4)])
EVENTS = st.fixed_dictionaries(
    {
        "_key": st.just(KEY),
        "_time": TIMES,
        "_received": TIMES,
        "city": st.sampled_from([None, "", "A", "B,C", "C,,A", "ö"]),
        "cc": st.sampled_from([None, "SE", "DE", "NO"]),
        "reason": st.sampled_from([None, "12", "-7", "9223372036854775807", "x", "$0.1"]),
        "latitude": st.sampled_from([None, 0.1, 0.2, -0.0, 1e300, -1e300, 3.0, 1e-9, float("nan")]),
        "country": st.sampled_from([None, "2014-04-07", "4/8/14", "soon", "1396889935"]),
        "custom_fields": st.none() | st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2", ""])),
    }
)
DATES = {"2014-04-07": 1396828800000, "4/8/14": 1396915200000, "1396889935": 1396889935000}
INTS = {"12": 12, "-7": -7, "9223372036854775807": 2**63 - 1, "$0.1": 0}


def text(name):
    return lambda event: event[name] or None


def whole(event):
    return INTS.get(event["reason"])


def number(event):
    value = event["latitude"]
    return None if value is None or value != value else value + 0.0


def date(event):
    return DATES.get(event["country"])


def words(event):
    return sorted({word for word in (event["city"] or "").split(",") if word}) or None


def entries(event):
    return {key: value for key, value in (event["custom_fields"] or {}).items() if value} or None


def pair(key, value):
    def of(event):
        found = key(event), value(event)
        return None if None in found else {found[0]: found[1]}

    return of


def timed(choose, value):
    def of(events):
        held = [(e["_time"], e["_received"], value(e)) for e in events if value(e) is not None]
        return choose(held)[2] if held else None

    return of


def latest_whole(choose, value):
    def ordered(held):
        return sorted(held.items()) if isinstance(held, dict) else held

    def of(events):
        held = [(e["_time"], e["_received"], ordered(value(e))) for e in events if value(e)]
        chosen = choose(held)[2] if held else None
        return dict(chosen) if chosen and isinstance(chosen[0], tuple) else chosen

    return of


def folded(fold, value):
    def of(events):
        held = [value(event) for event in events if value(event) is not None]
        return fold(held) if held else None

    return of


def exact(numbers):
    total = sum(Fraction(str(one)) for one in numbers)
    return int(total) if all(isinstance(one, int) for one in numbers) else float(total)


def per_key(fold, value):
    def of(events):
        held = {}
        for event in events:
            for key, one in (value(event) or {}).items():
                held.setdefault(key, []).append((event["_time"], event["_received"], one))
        return {key: fold(several) for key, several in sorted(held.items())} or None

    return of


def values_only(fold):
    return lambda held: fold([one for _, _, one in held])


def last(held):
    return max(held)[2]


def first(held):
    return min(held)[2]


def union(events, value=words):
    return sorted({word for event in events for word in value(event) or ()}) or None


def seen(events):
    times = {}
    for event in events:
        for word in words(event) or ():
            times[word] = max(times.get(word, 0), event["_time"])
    return sorted(times, key=lambda word: (-times[word], word)) or None


def newest_two_keys(events):
    held = {}
    for event in events:
        for key, value in (entries(event) or {}).items():
            held[key] = max(held.get(key, (0, 0, "")), (event["_time"], event["_received"], value))
    kept = sorted(sorted(held), key=lambda key: held[key][:2], reverse=True)[:2]
    return {key: held[key][2] for key in sorted(kept)} or None


def shown(of):
    """Dates as RFC 3339."""

    def rfc3339(value):
        days = {1396828800000: "07T00:00:00", 1396915200000: "08T00:00:00", 1396889935000: "07T16:58:55"}
        match value:
            case int():
                return f"2014-04-{days[value]}.000Z"
            case list():
                return [rfc3339(one) for one in value]
            case dict():
                return {key: rfc3339(one) for key, one in value.items()}

    return lambda events: rfc3339(of(events))


SPLIT = 'split(city, ",")'
COLUMNS = {
    "city": timed(max, text("city")),
    "city MERGEOP oldest": timed(min, text("city")),
    "city MERGEOP count": folded(len, text("city")),
    "toint(reason) MERGEOP sum": folded(exact, whole),
    "toint(reason) KIND number MERGEOP max": folded(max, whole),
    "toint(reason) MERGEOP min": folded(min, whole),
    "latitude MERGEOP sum": folded(exact, number),
    "latitude MERGEOP max": folded(max, number),
    "latitude MERGEOP latest": timed(max, number),
    "todate(country) KIND date MERGEOP max": shown(folded(max, date)),
    "todate(country) MERGEOP oldest": shown(timed(min, date)),
    "min(todate(country))": shown(folded(min, date)),
    'eq(cc, "SE") KIND bool MERGEOP oldest': timed(min, lambda event: event["cc"] == "SE"),
    SPLIT: union,
    f"set({SPLIT}) CAP 2 MERGEOP capped": lambda events: (union(events) or [])[:2] or None,
    f"{SPLIT} MERGEOP latest": latest_whole(max, words),
    "set(cc) MERGEOP oldest": latest_whole(min, lambda event: [event["cc"]] if event["cc"] else None),
    f"{SPLIT} KIND ts[]string": seen,
    f"{SPLIT} KIND ts[]string CAP 1": lambda events: (seen(events) or [])[:1] or None,
    "set(todate(country)) KIND []time": shown(
        lambda events: union(events, lambda event: [date(event)] if date(event) else None)
    ),
    "set(todate(country)) CAP 1": shown(
        lambda events: (
            (union(events, lambda event: [date(event)] if date(event) else None) or [])[-1:] or None
        )
    ),
    "custom_fields MERGEOP merge": per_key(last, entries),
    "custom_fields MERGEOP latest": latest_whole(max, entries),
    "custom_fields MERGEOP oldestmap": per_key(first, entries),
    "custom_fields CAP 2": newest_two_keys,
    "map(cc, toint(reason)) KIND map[string]int MERGEOP mapmax": per_key(
        values_only(max), pair(text("cc"), whole)
    ),
    "map(cc, latitude) KIND map[string]number MERGEOP mapmin": per_key(
        values_only(min), pair(text("cc"), number)
    ),
    "map(cc, latitude) MERGEOP sum": per_key(values_only(exact), pair(text("cc"), number)),
    "map(cc, toint(reason)) KIND map[string]intsum": per_key(values_only(exact), pair(text("cc"), whole)),
    "map(cc, todate(country)) KIND map[string]time": shown(per_key(last, pair(text("cc"), date))),
    'map(cc, eq(city, "A")) KIND map[string]bool': per_key(
        last, pair(text("cc"), lambda event: event["city"] == "A")
    ),
    "map(cc, city) MERGEOP latest": latest_whole(max, pair(text("cc"), text("city"))),
    "valuect(cc)": per_key(len, lambda event: {event["cc"]: 1} if event["cc"] else None),
    "valuect(cc) CAP 1": lambda events: (
        dict(
            sorted(
                (per_key(len, lambda event: {event["cc"]: 1} if event["cc"] else None)(events) or {}).items(),
                key=lambda item: (-item[1], item[0]),
            )[:1]
        )
        or None
    ),
}


def fold(program, frame, batches):
    state = {}
    for batch in batches:
        state = merge(
            program, state, reduce(frame("cm_activity", batch), program, "cm_activity").get(KEY, {})
        )
    return state


@settings(max_examples=40, deadline=None)
@given(
    columns=st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=8, unique=True),
    events=st.lists(EVENTS, min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=3),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_mapping_gives_what_event_by_event_reckoning_gives(
    frame, columns, events, cuts, shuffle: random.Random
):
    named = ", ".join(f"{column} AS f{index}" for index, column in enumerate(columns))
    program = compile_program([parse(f"SELECT {named}, email FROM cm_activity INTO user BY email")])
    expected = {f"f{index}": COLUMNS[column](events) for index, column in enumerate(columns)}
    shuffled = list(events)
    shuffle.shuffle(shuffled)
    edges = [0, *sorted(cut % (len(events) + 1) for cut in cuts), len(events)]
    batches = [shuffled[start:end] for start, end in pairwise(edges) if start < end]
    once, folded_ = fold(program, frame, [events]), fold(program, frame, batches)
    assert folded_ == once
    assert view(program, folded_) == {name: value for name, value in expected.items() if value is not None}


def test_every_column_of_the_table_is_reckoned_once_at_least(frame):
    events = [
        {"_key": KEY, "_time": time, "_received": 0, "city": "B,C", "cc": "SE", "reason": "12"}
        | {"latitude": 0.1, "country": "4/8/14", "custom_fields": {"a": "1"}}
        for time in range(3)
    ]
    for column, reckoned in COLUMNS.items():
        program = compile_program([parse(f"SELECT {column} AS f, email FROM cm_activity INTO user BY email")])
        assert view(program, fold(program, frame, [events])) == {"f": reckoned(events)}, column
