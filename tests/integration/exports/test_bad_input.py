"""Bad input and a list that changes under a running export: each is said with what to do, none loses a
change."""

import pytest
from click.testing import CliRunner

import cli.runtime
from cli.main import main
from listbridge import audiences
from listbridge.exports.advice import advice
from listbridge.exports.ledger import dropped_of
from listbridge.exports.setup import change_setup
from listbridge.jobs import preparing
from listbridge.workflows import log, registry, service
from listbridge.workflows.models import State
from simulator import segments
from simulator.account import CustomField

ANN, BOB, CID = "ann@example.com", "bob@example.com", "cid@example.com"
RETYPED = "deleted, changed its type or lost options"


def entered(email, audience="vip", **fields):
    return ("enter", email, audience, {"fields": fields})


def reason(export, workflow):
    return registry.get(export.context.store, workflow.id).reason


def lines(export, workflow):
    return " | ".join(str(each["message"]) for each in log.read(export.context.store, workflow.id, 50))


def add_field(export, name, kind, *options):
    export.list.fields.append(CustomField(name, f"[{name}]", kind, list(options)))


def much_later(export):
    """The list was last looked at a while ago."""
    change_setup(export.context.store, export.list.list_id, checked_at=0)


@pytest.fixture
def command(export, monkeypatch):
    """Runs a command on the test's store."""
    monkeypatch.setattr(cli.runtime, "settings", lambda: export.context.settings)
    return lambda *arguments: CliRunner().invoke(main, arguments)


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "o'hara+news@example.com",
        "a.b+c=d@example.com",
        "x!#$%&'*+/=?^_`{|}~@example.com",
        "UPPER@Example.com",
    ],
)
@pytest.mark.parametrize("mode", ["upsert", "update_only", "add_only"])
def test_odd_addresses_that_the_api_takes_go_all_the_way(export, address, mode):
    if mode == "update_only":
        export.act("subscribe", address)
    export.create("vip", mode=mode, on_exit="nothing" if mode == "add_only" else "unsubscribe")
    export.happen(entered(address))
    export.deliver()
    assert export.held(address) == ["vip"]

    if mode != "add_only":
        export.happen(("exit", address, "vip"))
        export.deliver()
        assert export.held(address) == "Unsubscribed"


@pytest.mark.parametrize(
    ("address", "to_do"),
    [
        ("ann@localhost", "correct the address"),
        ("ann@example.c", "correct the address"),
        ('"john doe"@example.com', "correct the address"),
        ("ünï@example.com", "plain letters"),
        ("ann@bücher.example", "plain letters"),
        ("用户@例子.广告", "plain letters"),
    ],
)
def test_an_address_that_the_api_refuses_is_set_aside_alone_with_what_to_do(export, command, address, to_do):
    made = export.create("vip")
    export.happen(entered(address), entered(ANN))
    export.deliver()
    assert export.held(ANN) == ["vip"]

    [(key, held)] = export.refusals().items()
    assert held.code == "invalid"
    assert to_do in advice(held.code, key)
    assert advice(held.code, key) in command("export", "rejections", made.id, "--json").stdout
    assert export.calls() == 1
    export.deliver()
    assert export.calls() == 1


@pytest.mark.parametrize("address", ["a..b@example.com", '"quoted@example.com', "no address", "@example.com"])
def test_what_is_no_address_at_all_is_set_aside_when_its_event_comes(export, address):
    event = audiences.AudienceEvent(email=address, audience="vip", event="enter", timestamp=audiences.now())

    counts = audiences.receive(export.context.store, [event])

    assert (counts.accepted, counts.quarantined) == (0, 1)


def test_quotes_that_an_address_does_not_need_are_taken_off(export):
    export.create("vip")
    export.happen(entered('"john.doe"@example.com'))
    export.deliver()
    assert export.held("john.doe@example.com") == ["vip"]


def test_a_corrected_address_is_sent(export):
    export.create("vip", email_field="mail")
    export.happen(entered(ANN, mail="änn@example.com"))
    export.deliver()
    export.happen(entered(ANN, mail="ann.b@example.com"))
    export.deliver()
    assert (export.held("ann.b@example.com"), export.refusals()) == (["vip"], {})


# Names and values


@pytest.mark.parametrize(
    "name", ["Zoë 😀", "محمد علي", "\u202eevil", "李小龍", "👩‍👩‍👧", 'A "B" <C> & D\\E', "x" * 250]
)
def test_names_in_any_script_arrive_as_they_are_and_once(export, name):
    export.create("vip", name_field="full")
    export.happen(entered(ANN, full=name))
    export.deliver()
    export.happen(entered(ANN, full=name))
    export.deliver()
    assert (export.list.find(ANN).name, export.calls()) == (name, 1)


def test_a_value_of_251_characters_is_refused_with_what_to_do_and_sent_when_shorter(export, command):
    add_field(export, "Bio", "Text")
    made = export.create("vip", field_mappings={"bio": "Bio"})
    export.happen(entered(ANN, bio="x" * 251), entered(BOB, bio="😀" * 250))
    export.deliver()
    assert (export.held(ANN), export.held(BOB), export.held(BOB, "Bio")) == (None, ["vip"], ["😀" * 250])
    assert "has 251 characters; the limit is 250" in export.refusals()[ANN].message
    assert "correct the address or the value" in command("export", "rejections", made.id, "--json").stdout

    export.happen(entered(ANN, bio="short"))
    export.deliver()
    assert (export.held(ANN), export.refusals()) == (["vip"], {})


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("Number", "n/a", "'n/a' is no number"),
        ("Date", "1899-12-31", "outside 1900-01-01 to 2076-06-06"),
        ("Date", "2076-06-07T00:00:00Z", "outside 1900-01-01 to 2076-06-06"),
        ("Date", "yesterday", "is no day"),
    ],
)
def test_a_value_that_the_api_would_drop_is_left_out_and_said(export, command, kind, value, words):
    add_field(export, "Field", kind)
    made = export.create("vip", field_mappings={"value": "Field"})
    export.happen(entered(ANN, value=value))

    export.deliver()

    assert (export.held(ANN), export.held(ANN, "Field"), export.refusals()) == (["vip"], [], {})
    assert "1 people's value for [Field]" in lines(export, made)
    assert words in command("export", "dropped", made.id, "--json").stdout
    calls = export.calls()
    export.deliver()
    assert export.calls() == calls

    good = {"Number": "3", "Date": "2001-02-03"}[kind]
    export.happen(entered(ANN, value=good))
    export.deliver()
    assert export.held(ANN, "Field") == [good]
    assert dropped_of(export.context.store, export.list.list_id) == {}


def test_a_value_that_becomes_bad_is_said_too(export):
    add_field(export, "Trips", "Number")
    export.create("vip", field_mappings={"trips": "Trips"})
    export.happen(entered(ANN, trips="3"))
    export.deliver()
    export.happen(entered(ANN, trips="n/a"))
    export.deliver()
    assert export.held(ANN, "Trips") == ["3"]
    assert list(dropped_of(export.context.store, export.list.list_id)) == [ANN]


# Options


ODD = ["R&D", "a, b", "x]", "[y", "🎉 party", "EQUALS x", 'say "hi"', "100%", "</option>", "𝒜"]


@pytest.mark.parametrize("reading", ["replace", "append"])
def test_options_with_odd_characters_are_made_set_cleared_and_segmented(export, reading):
    export.account.switches.change({"import_multi_select": reading})
    export.create(*(f"s{n}" for n in range(len(ODD))), labels={f"s{n}": label for n, label in enumerate(ODD)})
    for number in range(len(ODD)):
        export.happen(entered(ANN, f"s{number}"))
    export.deliver()
    assert sorted(export.held(ANN)) == sorted(ODD)
    by_title = {each.title: each for each in export.list.segments.values()}
    assert set(by_title) == set(ODD)
    assert all([p.email for p in segments.members(each)] == [ANN] for each in by_title.values())

    for number in range(0, len(ODD), 2):
        export.happen(("exit", ANN, f"s{number}"))
    export.deliver()
    assert sorted(export.held(ANN)) == sorted(ODD[1::2])


def test_a_mapped_option_that_the_field_lacks_is_refused_with_what_to_do(export, command):
    add_field(export, "Tier", "MultiSelectOne", "gold, or so", "R&D]")
    made = export.create("vip", field_mappings={"tier": "Tier"})
    export.happen(entered(ANN, tier="tin"), entered(BOB, tier="R&D]"), entered(CID, tier="gold, or so"))
    export.deliver()
    assert (export.held(BOB, "Tier"), export.held(CID, "Tier")) == (["R&D]"], ["gold, or so"])
    assert "pause and resume" in command("export", "rejections", made.id, "--json").stdout

    export.list.fields[0].options.append("tin")
    service.pause(export.context, made.id)
    service.resume(export.context, made.id)
    export.deliver()
    assert export.held(ANN, "Tier") == ["tin"]


# The list changes under a running export


def test_a_list_deleted_while_running_fails_the_export_with_what_to_do(export):
    made = export.create("vip")
    export.happen(entered(ANN))
    export.deliver()
    del export.client.lists[export.list.list_id]
    export.happen(entered(BOB), ("exit", ANN, "vip"))

    export.deliver()

    assert export.state(made) is State.FAILED
    assert "check the client, list" in reason(export, made)
    export.client.lists[export.list.list_id] = export.list
    service.resume(export.context, made.id)
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == ([], ["vip"])


def test_a_revoked_key_fails_the_export_and_a_new_one_goes_on(export, command):
    made = export.create("vip")
    export.happen(entered(ANN))
    export.deliver()
    export.account.api_key = "b" * 32
    export.happen(entered(BOB), ("exit", ANN, "vip"))
    export.deliver()
    assert export.state(made) is State.FAILED
    assert "authorization change-key" in reason(export, made)

    wrong = command("authorization", "change-key", export.authorization.id, "--api-key", "c" * 32)
    assert wrong.exit_code == 1
    right = command("authorization", "change-key", export.authorization.id, "--api-key", "b" * 32)
    assert right.exit_code == 0, right.output
    assert command("workflow", "resume", made.id).exit_code == 0
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == ([], ["vip"])


def delete_field(export, name):
    (field,) = [each for each in export.list.fields if each.name == name]
    export.list.fields.remove(field)
    segments.drop_rules_on(export.list, field)
    for person in export.list.subscribers.values():
        person.values.pop(field.key, None)


def running_with_ann_and_bob(export, **settings):
    made = export.create("vip", **settings)
    export.happen(entered(ANN, town="Lund", trips="3"), entered(BOB, town="Rome", trips="4"))
    export.deliver()
    return made


def test_the_audience_field_deleted_while_running_is_made_again_with_everybody_in_it(export):
    made = running_with_ann_and_bob(export)
    delete_field(export, "Lytics Audiences")
    much_later(export)
    export.happen(entered(CID))

    export.deliver()

    assert [export.held(each) for each in (ANN, BOB, CID)] == [["vip"]] * 3
    assert RETYPED in lines(export, made)


def test_the_audience_field_deleted_is_made_again_on_a_resume_at_once(export):
    made = running_with_ann_and_bob(export)
    delete_field(export, "Lytics Audiences")
    service.pause(export.context, made.id)
    service.resume(export.context, made.id)

    export.deliver()

    assert (export.held(ANN), export.held(BOB)) == (["vip"], ["vip"])


def test_a_kill_between_making_the_field_again_and_sending_loses_nobody(export, monkeypatch):
    running_with_ann_and_bob(export)
    delete_field(export, "Lytics Audiences")
    much_later(export)
    export.happen(entered(CID))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "save_setup", killed)
        with pytest.raises(KeyboardInterrupt):
            export.deliver()
    assert "[LyticsAudiences]" in [each.key for each in export.list.fields]

    export.deliver_until_rest()
    assert [export.held(each) for each in (ANN, BOB, CID)] == [["vip"]] * 3


def test_options_removed_while_running_come_back_with_everybody_who_held_them(export):
    running_with_ann_and_bob(export)
    export.list.fields[0].options = ["theirs"]
    for person in export.list.subscribers.values():
        person.values.clear()
    much_later(export)
    export.happen(entered(CID))

    export.deliver()

    assert [export.held(each) for each in (ANN, BOB, CID)] == [["vip"]] * 3


def test_the_audience_field_retyped_while_running_fails_the_export_until_it_is_right(export):
    made = running_with_ann_and_bob(export)
    delete_field(export, "Lytics Audiences")
    export.list.fields.append(CustomField("Lytics Audiences", "[LyticsAudiences]", "Text", []))
    much_later(export)
    export.happen(entered(CID))
    export.deliver()
    assert export.state(made) is State.FAILED
    assert "delete that field and resume" in reason(export, made)

    delete_field(export, "Lytics Audiences")
    service.resume(export.context, made.id)
    export.deliver()
    assert [export.held(each) for each in (ANN, BOB, CID)] == [["vip"]] * 3


def test_a_mapped_field_deleted_while_running_fails_the_export_and_is_filled_after_a_resume(export):
    add_field(export, "City", "Text")
    made = running_with_ann_and_bob(export, field_mappings={"town": "City"})
    delete_field(export, "City")
    much_later(export)
    export.happen(entered(CID, town="Oslo"))
    export.deliver()
    assert export.state(made) is State.FAILED
    assert "Make it in Campaign Monitor and resume" in reason(export, made)

    add_field(export, "City", "Text")
    service.resume(export.context, made.id)
    export.deliver()
    assert [export.held(each, "City") for each in (ANN, BOB, CID)] == [["Lund"], ["Rome"], ["Oslo"]]


def test_a_mapped_field_retyped_while_running_gets_what_fits_and_says_the_rest(export):
    add_field(export, "Trips", "Text")
    made = running_with_ann_and_bob(export, field_mappings={"trips": "Trips"})
    delete_field(export, "Trips")
    add_field(export, "Trips", "Number")
    much_later(export)
    export.happen(entered(CID, trips="n/a"))

    export.deliver()

    assert [export.held(each, "Trips") for each in (ANN, BOB, CID)] == [["3"], ["4"], []]
    assert "1 people's value for [Trips]" in lines(export, made)


def test_the_list_is_looked_at_only_now_and_then(export):
    running_with_ann_and_bob(export)
    asked = export.calls("GET /lists/{list}/customfields")
    for number in range(3):
        export.happen(entered(f"p{number}@example.com"))
        export.deliver()
    assert export.calls("GET /lists/{list}/customfields") == asked

    much_later(export)
    export.deliver()
    assert export.calls("GET /lists/{list}/customfields") == asked
    export.happen(entered(CID))
    export.deliver()
    export.happen(entered("d@example.com"))
    export.deliver()
    assert export.calls("GET /lists/{list}/customfields") == asked + 1


def test_at_the_limit_of_segments_people_are_delivered_and_what_to_do_is_said(export):
    export.account.switches.change({"segment_limit": 1})
    made = export.create("a", "b", "c")
    export.happen(entered(ANN, "b"), entered(BOB, "c"))

    export.deliver()

    assert (export.state(made), export.held(ANN), export.held(BOB)) == (State.RUNNING, ["b"], ["c"])
    assert len(export.list.segments) == 1
    assert "no segment for 'b', 'c'" in lines(export, made)
    assert "code 283" in lines(export, made)
    assert "pause and resume" in lines(export, made)

    export.account.switches.change({"segment_limit": 0})
    service.pause(export.context, made.id)
    service.resume(export.context, made.id)
    export.deliver()
    assert sorted(each.title for each in export.list.segments.values()) == ["a", "b", "c"]
