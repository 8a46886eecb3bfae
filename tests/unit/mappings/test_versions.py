"""Versions of the mappings: which number a definition has, who wins, what is complete."""

import msgspec
import pytest

from listbridge.aggregation import MappingError
from listbridge.mappings import versions
from listbridge.mappings.sources import MappingText, UnfitMappings, with_files
from listbridge.mappings.versions import (
    NoActiveMappings,
    NoSuchVersion,
    Overtaken,
    UnusableMappings,
    activate,
    active,
    establish,
    history,
    mark_complete,
    plan,
    program_of,
)
from listbridge.store import keys

A = "count(event) AS mine KIND int"
B = "max(epochms()) AS mine KIND date"
C = "count(event) AS other KIND int"


def mine(version, name="mine"):
    """What the version says of the field, by its definition."""
    return next(held for each, held in version.fields.items() if each.startswith(f"{name}:"))


def test_the_first_version_counts_all_events_and_numbers_every_definition(any_store):
    establish(any_store, with_files([]))

    held = active(any_store)
    assert (held.number, held.changes) == (1, {})
    assert {each.since for each in held.fields.values()} == {None}
    assert sorted(each.number for each in held.fields.values()) == list(range(1, len(held.fields) + 1))
    assert held.last_number == len(held.fields)


def test_only_the_first_to_come_establishes_the_first_version(any_store, texts):
    establish(any_store, texts(A))
    establish(any_store, texts(B))

    assert [each.number for each in history(any_store)] == [1]
    assert "count(event)" in active(any_store).texts[-1].text


def test_a_definition_that_stays_keeps_its_number_and_what_is_new_gets_one_of_its_own(become):
    first, second = become(A), become(A, C)

    assert {name: second.fields[name] for name in first.fields} == first.fields
    assert mine(second, "other").number == first.last_number + 1
    assert mine(second, "other").since == second.activated_at
    assert (second.number, second.changes) == (2, {"added": ["other"]})


def test_a_definition_that_comes_back_is_another_one(become):
    first, changed, back = become(A), become(B), become(A)

    numbers = [mine(each).number for each in (first, changed, back)]
    assert numbers == [first.last_number, first.last_number + 1, first.last_number + 2]
    assert mine(back).since == back.activated_at
    assert back.changes == {"anew": ["mine"]}


def test_a_number_is_not_given_again_after_its_definition_is_gone(become):
    become(A)
    gone = become(A, C)
    become(A)
    back = become(A, C)

    assert mine(back, "other").number == mine(gone, "other").number + 1


def test_a_version_that_shows_a_field_otherwise_takes_its_number_over(become):
    first = become("set(city) AS mine KIND []string")
    second = become("set(city) AS mine KIND []string CAP 3 SHORTDESC 'x'".replace("'", '"'))

    assert second.changes == {"shown": ["mine"]}
    assert second.fields == first.fields


def test_what_changes_nothing_makes_no_version_and_a_comment_makes_one(any_store, become, texts):
    first = become(A)
    assert become(A) == first

    own = texts(A)[-1]
    noted = MappingText(own.alias, own.name, f"-- why\n{own.text}")
    second = activate(any_store, plan(any_store, (*with_files([]), noted)))

    assert (second.number, second.fields, second.changes) == (2, first.fields, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT", MappingError),
        ("SELECT email, nope(city) AS x FROM cm_activity INTO USER BY email ALIAS own", MappingError),
        (
            "SELECT email(email) AS email FROM audience INTO USER BY email ALIAS audience_default",
            UnfitMappings,
        ),
    ],
)
def test_what_is_wrong_never_becomes_active(any_store, become, text, problem):
    become(A)
    before = any_store.client.hgetall(keys.MAPPING)
    shipped = {each.alias: each for each in with_files([])}
    alias = "audience_default" if "audience_default" in text else "own"

    with pytest.raises(problem):
        plan(any_store, list((shipped | {alias: MappingText(alias, "own.lql", text)}).values()))

    assert any_store.client.hgetall(keys.MAPPING) == before


def test_of_two_who_apply_at_once_one_is_told(any_store, become, texts):
    become(A)
    mine_first, theirs = plan(any_store, texts(A, C)), plan(any_store, texts(B))

    activate(any_store, theirs)
    with pytest.raises(Overtaken, match="version 2 of the mappings was made active in the meantime"):
        activate(any_store, mine_first)

    assert active(any_store).changes == {"anew": ["mine"]}


def test_a_plan_does_not_undo_what_was_completed_after_it(any_store, become, texts):
    become(A)
    held = become(A, C)
    planned = plan(any_store, texts(A, C, "city AS town KIND string"))
    assert mark_complete(any_store, 2, {mine(held, "other").number})

    with pytest.raises(Overtaken):
        activate(any_store, planned)

    assert mine(active(any_store), "other").since is None


def test_an_activation_that_is_sent_again_is_answered_alike(any_store, become, texts, monkeypatch):
    become(A)
    planned = plan(any_store, texts(B))
    real = any_store.script

    def lost_reply(source, names, args):
        real(source, names, list(args))
        return real(source, names, list(args))

    monkeypatch.setattr(any_store, "script", lost_reply)
    assert activate(any_store, planned).number == 2
    assert [each.number for each in history(any_store)] == [1, 2]


def test_completed_definitions_count_all_events_and_stay_so_in_the_next_version(any_store, become):
    become(A)
    held = become(A, C, "city AS town KIND string")

    assert mark_complete(any_store, 2, {mine(held, "other").number})
    assert mark_complete(any_store, 2, {mine(held, "other").number})

    now = active(any_store)
    assert mine(now, "other").since is None
    assert mine(now, "town").since == held.activated_at
    assert mine(become(A, C), "other").since is None


def test_what_is_no_longer_active_is_not_completed(any_store, become):
    become(A)
    held = become(A, C)
    become(B, C)

    assert not mark_complete(any_store, 2, {mine(held, "other").number})
    assert mine(active(any_store), "other").since == held.activated_at


def test_a_completion_that_meets_another_is_not_lost(any_store, become, monkeypatch):
    become(A)
    held = become(A, C, "city AS town KIND string")
    real, others = any_store.script, [mine(held, "town").number]

    def meanwhile(source, names, args):
        if others:
            assert mark_complete(any_store, 2, {others.pop()})
        return real(source, names, args)

    monkeypatch.setattr(any_store, "script", meanwhile)
    assert mark_complete(any_store, 2, {mine(held, "other").number})

    now = active(any_store)
    assert (mine(now, "other").since, mine(now, "town").since) == (None, None)


def test_the_program_of_a_version_has_its_number_and_those_of_its_definitions(become):
    become(B)
    held = become(A)

    program = program_of(held)

    assert program.version == 2
    assert {each.id: each.number for each in program.fields.values()} == {
        name: each.number for name, each in held.fields.items()
    }


def amended(store, change):
    """The active record, changed as a later release of ours would read it."""
    held = active(store)
    store.client.hset(keys.MAPPING, str(held.number), msgspec.json.encode(change(held)))


def lost_function(held):
    texts = tuple(
        msgspec.structs.replace(each, text=each.text.replace("count(", "cuont("))
        if each.alias == "own"
        else each
        for each in held.texts
    )
    return msgspec.structs.replace(held, texts=texts)


def test_mappings_that_a_release_can_not_read_any_more_are_named_with_the_way_out(any_store, become, texts):
    become(A)
    amended(any_store, lost_function)

    with pytest.raises(UnusableMappings, match=r"version 1 .*cuont.*mapping apply"):
        program_of(active(any_store))
    planned = plan(any_store, texts(B))
    assert [(each.field, each.change) for each in planned.differences] == [("mine", "anew")]
    assert program_of(activate(any_store, planned)).version == 2


def test_mappings_that_a_release_reads_otherwise_are_not_taken_for_the_same(any_store, become, texts):
    become(A)

    def other_meaning(held):
        fields = {("mine:00000000" if n.startswith("mine:") else n): each for n, each in held.fields.items()}
        return msgspec.structs.replace(held, fields=fields)

    amended(any_store, other_meaning)

    with pytest.raises(UnusableMappings, match=r"means something else in this release \(mine\)"):
        program_of(active(any_store))
    planned = plan(any_store, texts(A))
    assert [(each.field, each.change) for each in planned.differences] == [("mine", "anew")]
    made = activate(any_store, planned)
    assert (mine(made).number, program_of(made).version) == (mine(active(any_store)).number, 2)


def test_a_store_without_mappings_and_a_version_that_is_not_there_are_told(any_store, become):
    with pytest.raises(NoActiveMappings, match="mapping apply"):
        active(any_store)
    become(A)
    with pytest.raises(NoSuchVersion, match="no version 7"):
        versions.version(any_store, 7)
