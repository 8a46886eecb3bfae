"""What was learned is used: plans say what will be, segments find everybody; without it all is as before."""

import pytest

from listbridge import audiences
from listbridge.aggregation.fold import Folder
from listbridge.jobs.plan import plan_export
from simulator import segments
from simulator.account import CustomField

ANN, BOB = "ann@example.com", "bob@example.com"


def happen(clinic, *emails):
    made = [
        audiences.AudienceEvent(email=email, audience="vip", event="enter", timestamp=audiences.now())
        for email in emails
    ]
    audiences.receive(clinic.store, made)
    Folder(clinic.store, clinic.context.program).run()


def held(clinic, email):
    return clinic.list.find(email).values


@pytest.fixture
def others(clinic):
    """Ann and Bob hold options of others, in our field and in another one."""
    clinic.list.fields += [
        CustomField("Lytics Audiences", "[LyticsAudiences]", "MultiSelectMany", ["theirs"]),
        CustomField("Interests", "[Interests]", "MultiSelectMany", ["tea", "wine"]),
    ]
    for email in (ANN, BOB):
        clinic.server.simulator.act(
            "subscribe", clinic.list.list_id, email, values={"[LyticsAudiences]": ["theirs"]}
        )
        clinic.list.find(email).values.update({"[LyticsAudiences]": ["theirs"], "[Interests]": ["tea"]})
    happen(clinic, ANN)
    return clinic


def planned(clinic, made):
    """(code, reason, what the list would hold) of those whom the plan concerns."""
    found = []
    plan_export(clinic.context, made.id, on_plan=found.append)
    return {
        each.address: (each.code, each.reason, each.after[1]) for each in found if each.effect == "updated"
    }


@pytest.mark.parametrize("reading", ["replace", "append"])
@pytest.mark.parametrize("asked", [True, False], ids=["known", "not known"])
def test_a_plan_knows_whether_the_options_of_others_stay(clinic, reading, asked):
    clinic.switch(import_multi_select=reading)
    if asked:
        clinic.answers()
    made = clinic.create_export(existing_users=True)
    happen(clinic, ANN)
    clinic.deliver()
    [field] = clinic.list.fields
    field.options.append("theirs")
    clinic.server.simulator.act("subscribe", clinic.list.list_id, BOB)
    clinic.list.find(BOB).values[field.key] = ["theirs"]
    happen(clinic, BOB)

    code, _, after = planned(clinic, made)[BOB]
    clinic.deliver()

    stays = reading == "append"
    assert held(clinic, BOB)[field.key] == (["vip", "theirs"] if stays else ["vip"])
    assert code == ("" if stays and asked else "others_lost")
    assert ("theirs" in after[field.key]) is (stays and asked)


@pytest.mark.parametrize("asked", [True, False], ids=["known", "not known"])
def test_a_plan_tells_which_fields_a_row_empties(others, asked):
    others.switch(absent_key_untouched=False)
    if asked:
        others.answers()
    made = others.create_export(existing_users=True)

    code, reason, after = planned(others, made)[ANN]
    others.deliver()

    assert "[Interests]" not in held(others, ANN)
    assert ("[Interests]" in after) is not asked
    assert held(others, BOB)["[Interests]"] == ["tea"]
    if asked:
        assert (code, reason) == ("others_lost", "fields that the row doesn't name are emptied: tea")


def test_single_updates_replace_though_imports_append(clinic):
    clinic.switch(import_multi_select="append")
    clinic.answers()
    made = clinic.create_export(existing_users=True, mode="update_only")
    clinic.server.simulator.act("subscribe", clinic.list.list_id, ANN)
    clinic.server.simulator.act("subscribe", clinic.list.list_id, BOB)
    happen(clinic, ANN)
    clinic.deliver()
    [field] = clinic.list.fields
    field.options.append("theirs")
    clinic.list.find(BOB).values[field.key] = ["theirs"]
    happen(clinic, BOB)

    code, _, after = planned(clinic, made)[BOB]
    clinic.deliver()

    assert held(clinic, BOB)[field.key] == ["vip"] == list(after[field.key])
    assert code == "others_lost"


@pytest.mark.parametrize("reading", ["has", "only", "refused"])
def test_segments_find_everybody_who_has_the_option(clinic, reading):
    clinic.switch(multi_select_equals=reading)
    clinic.answers()
    clinic.create_export(existing_users=True)
    happen(clinic, ANN, BOB)
    clinic.deliver()
    field = clinic.list.fields[0]
    field.options.append("theirs")
    clinic.list.find(BOB).values[field.key] = ["theirs", "vip"]

    [segment] = clinic.list.segments.values()
    assert [person.email for person in segments.members(segment)] == [ANN, BOB]
    assert clinic.outcomes()["segments", "A list"] == "ok"


def test_a_verb_that_is_refused_by_now_gives_way_to_the_documented_one(clinic):
    clinic.switch(multi_select_equals="only")
    clinic.answers()
    clinic.switch(multi_select_equals="has")
    clinic.create_export(existing_users=True)
    happen(clinic, ANN)
    clinic.deliver()

    [segment] = clinic.list.segments.values()
    assert segment.groups == [{"Rules": [{"RuleType": "[LyticsAudiences]", "Clause": "EQUALS vip"}]}]
    assert [person.email for person in segments.members(segment)] == [ANN]
