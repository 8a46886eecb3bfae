"""How many events each column skipped, against a count of one event at a time."""

from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_order_free_mappings import COLUMNS, EVENTS

from listbridge.aggregation import compile_program, parse
from listbridge.aggregation.reduction import reduce_columns

PEOPLE = ("ann@x.se", "bob@x.se", "eve@x.se")


def later_than_five(event):
    """`5 < reason`: text that is no number can't be evaluated, and nothing isn't greater."""
    if not event["reason"]:
        return False
    try:
        return float(event["reason"]) > 5
    except ValueError:
        return None


def negated(condition):
    def of(event):
        held = condition(event)
        return None if held is None else not held

    return of


GUARDS = {
    "": lambda _: True,
    'cc == "SE"': lambda event: event["cc"] == "SE",
    "5 < reason": later_than_five,
    "NOT (5 < reason)": negated(later_than_five),
    "EXISTS city": lambda event: bool(event["city"]),
}
NAMES = st.sampled_from(sorted(COLUMNS))
SOMEBODYS = st.builds(lambda event, key: event | {"_key": key}, EVENTS, st.sampled_from(PEOPLE))


def skips(column, guards, event):
    """Does the column apply to the event and add nothing?"""
    held = [GUARDS[guard](event) for guard in guards]
    if False in held:
        return False
    return None in held or COLUMNS[column]([event]) is None


def compiled(columns, where):
    listed = ", ".join(
        f"{column} AS f{index}" + (f" IF {guard}" if guard else "")
        for index, (column, guard) in enumerate(columns)
    )
    where = f" WHERE {where}" if where else ""
    return compile_program([parse(f"SELECT {listed}, email FROM cm_activity{where} INTO user BY email")])


def counted(frame, program, events, group=PEOPLE.index):
    """Group -> field -> skips, as the reduce counts them; `email` is left out."""
    names = {definition.number: name for name, definition in program.fields.items() if name != "email"}
    found = reduce_columns(frame("cm_activity", events), program, "cm_activity").skips(group)
    by_name = {
        key: {names[number]: count for number, count in counts.items() if number in names}
        for key, counts in found.items()
    }
    return {key: counts for key, counts in by_name.items() if counts}


@settings(max_examples=150, deadline=None)
@given(
    columns=st.lists(st.tuples(NAMES, st.sampled_from(sorted(GUARDS))), min_size=1, max_size=8),
    where=st.sampled_from(sorted(GUARDS)),
    events=st.lists(SOMEBODYS, min_size=1, max_size=15),
)
def test_skips_are_those_of_each_event_by_itself(frame, columns, where, events):
    expected: dict[int, Counter[str]] = {}
    for event in events:
        for index, (column, guard) in enumerate(columns):
            if skips(column, (guard, where), event):
                expected.setdefault(PEOPLE.index(event["_key"]), Counter())[f"f{index}"] += 1

    assert counted(frame, compiled(columns, where), events) == expected


def event(**values):
    names = ("city", "cc", "reason", "latitude", "country", "custom_fields")
    return {"_key": PEOPLE[0], "_time": 0, "_received": 0} | dict.fromkeys(names) | values


def test_every_column_of_the_table_skips_an_event_that_holds_nothing_or_not_enough(frame):
    poor = [event(), event(cc="SE"), event(latitude=1.0), event(custom_fields={"a": ""})]
    for column in COLUMNS:
        expected = sum(skips(column, (), each) for each in poor)
        found = counted(frame, compiled([(column, "")], ""), poor)
        assert found.get(0, {}).get("f0", 0) == expected, column


def test_two_columns_of_one_field_each_count_their_skips(frame):
    text = "SELECT email, city AS place, {} AS place{} FROM cm_activity INTO user BY email"
    for other, guard, expected in (
        ("region", "", 3),  # city is missing twice, region once
        ("region", ' IF cc == "SE"', 3),
        ("region", " IF 5 < reason", 3),
    ):
        program = compile_program([parse(text.format(other, guard))])
        events = [
            event(city="Lund", cc="SE", reason="x"),
            event(region="Skåne", cc="SE", reason="1"),
            event(region="Skåne", cc="SE", reason="9"),
        ]
        assert counted(frame, program, events) == {0: {"place": expected}}, guard


def test_groups_are_counted_apart_and_events_of_one_group_together(frame):
    program = compiled([("city", "")], "")
    events = [event(_key=key) for key in (*PEOPLE, PEOPLE[0])]

    assert counted(frame, program, events, lambda key: key == PEOPLE[1]) == {0: {"f0": 3}, 1: {"f0": 1}}


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "1"])), min_size=1, max_size=6))
@example([{"a": ""}, {"a": "", "b": "1"}])
def test_a_map_whose_entries_are_all_empty_is_skipped(frame, maps):
    events = [event(custom_fields=held) for held in maps]
    missing = sum(not any(held.values()) for held in maps)
    expected = {0: {"f0": missing, "f1": missing}} if missing else {}

    columns = [("custom_fields MERGEOP merge", ""), ("custom_fields MERGEOP latest", "")]
    assert counted(frame, compiled(columns, ""), events) == expected
