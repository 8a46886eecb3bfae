"""What a plan says of each person is what a start then does to the simulated list."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from simulated import Export, minutes_from_now

from listbridge.exports.planning import Effect
from listbridge.jobs.plan import PlanOptions, plan_export
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from listbridge.systems import campaign_monitor_client
from listbridge.workflows import service
from listbridge.workflows.holds import Acknowledgement
from simulator.account import Account, CustomField
from simulator.server import SimulatorServer

PEOPLE = [f"p{number}@example.com" for number in range(8)] + ["bad address@example.com", "ünï@example.com"]
STATES = ("none", "active", "unsubscribed", "deleted", "bounced")
WRITTEN = (Effect.ADDED, Effect.RETURNED, Effect.UPDATED, Effect.UNSUBSCRIBED)
TIERS = ["gold", "silver"]

person = st.fixed_dictionaries(
    {
        "state": st.sampled_from(STATES),
        "city": st.sampled_from([[], ["Oslo"]]),
        "held": st.lists(st.sampled_from(["vip", "lapsed", "theirs"]), unique=True),
        "name": st.sampled_from(["", "Ann"]),
        "told": st.booleans(),
        "suppressed": st.sampled_from([False, False, False, True]),
        "events": st.lists(
            st.tuples(st.sampled_from(["enter", "exit"]), st.sampled_from(["vip", "lapsed"])), max_size=3
        ),
        "fields": st.fixed_dictionaries(
            {},
            optional={
                "full": st.sampled_from(["Ann", "Bob"]),
                "town": st.sampled_from(["Paris", "x" * 251]),
                "tier": st.sampled_from(["gold", "tin"]),
                "born": st.sampled_from(["2001-02-03", "1801-02-03"]),
                "trips": st.sampled_from(["3", "n/a"]),
            },
        ),
        "opted_in": st.sampled_from([None, None, -3, 3]),
    }
)
WAYS = [
    {"mode": "upsert", "on_exit": "update_field"},
    {"mode": "upsert", "on_exit": "unsubscribe", "unsubscribe_from_all_lists": True},
    {"mode": "upsert", "on_exit": "nothing"},
    {"mode": "update_only", "on_exit": "update_field"},
    {"mode": "update_only", "on_exit": "unsubscribe", "unsubscribe_from_all_lists": True},
    {"mode": "add_only"},
]
RICH = {
    "town": {"field": "City", "when_null": "set_if_empty"},
    "tier": {"field": "Tier", "type": "MultiSelectOne", "options": TIERS, "when_null": "clear"},
    "born": {"field": "Born", "type": "Date"},
    "trips": {"field": "Trips", "type": "Number"},
}
export_settings = st.builds(
    lambda plain, way: (
        plain | way | ({"queue_autoresponders": False} if way["mode"] == "update_only" else {})
    ),
    st.fixed_dictionaries(
        {
            "existing_users": st.booleans(),
            "resubscribe": st.sampled_from(["never", "when_opted_in_later", "always"]),
            "queue_autoresponders": st.booleans(),
        },
        optional={
            "name_field": st.just("full"),
            "field_mappings": st.sampled_from([{"town": "City", "tier": "Tier", "born": "Born"}, RICH]),
            "templates": st.just({"Origin": "from {full}"}),
        },
    ).map(lambda found: found | {"create_fields": True}),
    st.sampled_from(WAYS),
)
worlds = st.fixed_dictionaries(
    {
        "people": st.lists(person, min_size=len(PEOPLE), max_size=len(PEOPLE)),
        "settings": export_settings,
        "has_field": st.booleans(),
        "confirms": st.booleans(),
        "honours": st.booleans(),
        "reading": st.sampled_from(["replace", "append"]),
        "before": st.booleans(),
        "again": st.lists(
            st.tuples(
                st.sampled_from(["enter", "exit"]),
                st.sampled_from(PEOPLE[:8]),
                st.sampled_from(["vip", "lapsed"]),
            ),
            max_size=6,
        ),
    }
)


@pytest.fixture
def fresh_export(context):
    """Makes an empty simulated list and exports to it, on an emptied store."""
    servers = []

    def make():
        context.store.client.flushall()
        context.store.prepare()
        establish(context.store, configured(context.settings))
        fresh = replace(context, programs=ActivePrograms(context.store))
        account = Account("a" * 32)
        account.add_list(account.add_client("A client"), "A list")
        for server in servers:
            server.stop()
        servers.append(SimulatorServer(account).start())
        return Export(fresh, servers[-1])

    yield make
    for server in servers:
        server.stop()


def build(export, world):
    """The list, the suppression list and what the streams know, as the world says; -> the export, paused."""
    export.account.switches.change({"import_multi_select": world["reading"]})
    export.list.confirmed_opt_in = False
    export.list.unsubscribe_setting = "AllClientLists" if world["honours"] else "OnlyThisList"
    export.list.fields += [
        CustomField("City", "[City]", "Text", []),
        CustomField("Tier", "[Tier]", "MultiSelectOne", TIERS),
        CustomField("Born", "[Born]", "Date", []),
    ]
    if world["has_field"]:
        options = ["vip", "theirs"]
        export.list.fields.append(
            CustomField("Lytics Audiences", "[LyticsAudiences]", "MultiSelectMany", options)
        )
    # So that people opt out in an earlier minute than they enter.
    export.account.clock.advance(-120)
    for email, who in zip(PEOPLE, world["people"], strict=True):
        subscribe(export, email, who, world["has_field"])
    export.account.clock.advance(120)
    made = None
    if not world["before"]:
        made = create(export, world)
    for email, who in zip(PEOPLE, world["people"], strict=True):
        happen(export, email, who)
    made = made or create(export, world)
    export.list.confirmed_opt_in = world["confirms"]
    return made


def create(export, world):
    made = export.create("vip", "lapsed", **world["settings"])
    return service.pause(export.context, made.id)


def subscribe(export, email, who, has_field):
    if who["state"] != "none" and email in PEOPLE[:8]:
        values = {"[LyticsAudiences]": who["held"]} if has_field else {}
        export.act("subscribe", email, name=who["name"], values=values | {"[City]": who["city"]})
        if who["state"] != "active":
            export.act(
                {"unsubscribed": "unsubscribe", "deleted": "delete", "bounced": "bounce"}[who["state"]], email
            )
        if who["told"]:
            export.tell_status(email)
    if who["suppressed"] and email in PEOPLE[:8]:
        with campaign_monitor_client(export.context, export.authorization) as api:
            api.suppress(export.client.client_id, [email])


def happen(export, email, who):
    more = {"fields": who["fields"]}
    if who["opted_in"] is not None:
        more["opted_in_at"] = minutes_from_now(who["opted_in"])
    for what, audience in who["events"]:
        export.happen((what, email, audience, more))


def rows_of(export):
    return {
        email: (
            person.state,
            person.name,
            {key: tuple(sorted(held)) for key, held in person.values.items() if held},
        )
        for email, person in export.list.subscribers.items()
    }


def start(export, made, people=None):
    service.resume(export.context, made.id, Acknowledgement(people=people))
    export.deliver_until_rest()


def became(before, after):
    if before is None:
        return Effect.ADDED if after is not None else None
    if before[0] != after[0]:
        return Effect.UNSUBSCRIBED if after[0] == "Unsubscribed" else Effect.RETURNED
    return Effect.UPDATED if before != after else None


def check(plans, before, after, refusals):
    for email in {*plans, *before, *after}:
        plan = plans.get(email)
        effect = plan.effect if plan else Effect.LEFT
        happened = became(before.get(email), after.get(email))
        # Who is asked to confirm once more stays unconfirmed.
        if effect is not Effect.RETURNED or before[email][0] != "Unconfirmed":
            assert happened is (effect if effect in WRITTEN else None), (email, plan)
        # An earlier refusal of somebody who has left since is kept.
        assert effect in (Effect.REFUSED, Effect.LEFT) or email not in refusals, (email, plan)
        if effect is Effect.REFUSED:
            assert plan.code == refusals[email].code, (plan, refusals[email])
        if plan and plan.after is not None and email in after and plan.effect is not Effect.RETURNED:
            assert (plan.after[0], plan.after[1]) == after[email][1:], (email, plan)


WRITES = (
    "POST /subscribers/{list}/import",
    "PUT /subscribers/{list}",
    "POST /subscribers/{list}/unsubscribe",
)


def written(export):
    return sum(export.calls(endpoint) for endpoint in WRITES)


def planned(export, made):
    plans = {}
    summary = plan_export(
        export.context, made.id, PlanOptions(), on_plan=lambda each: plans.__setitem__(each.address, each)
    )
    assert Counter(each.effect.value for each in plans.values()) == Counter(
        {name: count for name, count in summary.outcomes.items() if count and name != "left"}
    )
    return plans, summary


@given(worlds)
@examples(15)
def test_a_start_does_what_the_plan_says_of_each_person_and_of_its_calls(fresh_export, world):
    export = fresh_export()
    made = build(export, world)

    plans, summary = planned(export, made)
    before, calls = rows_of(export), written(export)
    start(export, made, summary.outcomes["returned"])

    check(plans, before, rows_of(export), export.refusals())
    # Who might be brought back is sent again after a look-up, by themselves.
    second = 0 if world["settings"]["resubscribe"] == "never" else 3
    assert 0 <= written(export) - calls - summary.calls["imports"] <= second
    assert export.account.added_after_opt_out == [] or world["settings"]["resubscribe"] != "never"

    # Once more, now that a start has told the list of them.
    service.pause(export.context, made.id)
    export.happen(*world["again"])
    plans, _ = planned(export, made)
    before = rows_of(export)
    start(export, made)
    check(plans, before, rows_of(export), export.refusals())
