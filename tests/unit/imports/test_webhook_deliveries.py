"""Deliveries of webhooks, as they come: read whole or in pieces, recognised, stored, doubted."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from listbridge.campaign_monitor import incoming
from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.incoming import ECHO_WINDOW_MS, Told, decode, events_of, is_echo, receive
from listbridge.campaign_monitor.models import StoredValue
from listbridge.campaign_monitor.timezones import to_epoch_ms
from listbridge.exports.claims import take
from listbridge.exports.delivered import Delivered, content, pack, unpack_delivered
from listbridge.exports.setup import Setup, save_setup
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.streams.log import tail

LIST = "96c0bbdaa54760c8d9e62a2b7ffa2e13"
ZONE = ZoneInfo("Australia/Sydney")
ACCOUNT = Account("c1", "Client One", ZONE, {LIST: "Newsletter"})
ANN = "ann@example.com"
SETUP = Setup(field_key="[LyticsAudiences]", labels=("Gold", "Silver"), mapped={}, fingerprint="f")

# The example of the documentation, its addresses replaced by others.
DOCUMENTED = b"""{
  "Events": [
    {"CustomFields": [{"Key": "website", "Value": "http://example.org"}],
     "Date": "2010-12-14 11:32:00", "EmailAddress": "Test@Example.org", "Name": "Test Subscriber",
     "SignupIPAddress": "53.78.123.243", "Type": "Subscribe"},
    {"CustomFields": [{"Key": "website", "Value": "http://example.org"}],
     "Date": "2010-12-14 11:33:00", "OldEmailAddress": "test@example.org",
     "EmailAddress": "new@example.org", "Name": "New Name", "State": "Active", "Type": "Update"},
    {"CustomFields": [{"Key": "website", "Value": "http://example.org"}],
     "Date": "2010-12-14 11:34:00", "EmailAddress": "new@example.org", "Name": "New Name",
     "State": "Unsubscribed", "Type": "Deactivate"}],
  "ListID": "96c0bbdaa54760c8d9e62a2b7ffa2e13"
}"""

WHO = {"list_id": LIST, "list_name": "Newsletter", "client_id": "c1", "client_name": "Client One"}
FIELDS = {"custom_fields": {"website": "http://example.org"}}
DOCUMENTED_EVENTS = [
    (
        "cm_activity",
        "test@example.org",
        1292286720000,
        WHO
        | FIELDS
        | {
            "event": "subscribe",
            "email": "Test@Example.org",
            "old_email": "",
            "name": "Test Subscriber",
            "state": "Active",
            "ip": "53.78.123.243",
            "origin": None,
        },
    ),
    (
        "cm_user",
        "test@example.org",
        1292286720000,
        WHO
        | FIELDS
        | {
            "email": "Test@Example.org",
            "name": "Test Subscriber",
            "state": "Active",
            "status": "active",
            "joined_at": None,
            "origin": None,
        },
    ),
    (
        "cm_activity",
        "new@example.org",
        1292286780000,
        WHO
        | FIELDS
        | {
            "event": "update",
            "email": "new@example.org",
            "old_email": "test@example.org",
            "name": "New Name",
            "state": "Active",
            "ip": None,
            "origin": None,
        },
    ),
    (
        "cm_user",
        "new@example.org",
        1292286780000,
        WHO
        | FIELDS
        | {
            "email": "new@example.org",
            "name": "New Name",
            "state": "Active",
            "status": "active",
            "joined_at": None,
            "origin": None,
        },
    ),
    (
        "cm_activity",
        "new@example.org",
        1292286840000,
        WHO
        | {
            "event": "deactivate",
            "email": "new@example.org",
            "status": "unsubscribe",
            "state": "Unsubscribed",
        },
    ),
    (
        "cm_user",
        "new@example.org",
        1292286840001,
        WHO
        | FIELDS
        | {
            "email": "new@example.org",
            "name": "New Name",
            "state": "Unsubscribed",
            "status": "unsubscribed",
            "joined_at": None,
            "origin": None,
        },
    ),
]


def told(**fields: Any) -> Told:
    return Told(
        **{"type": "Update", "state": "Active", "date": "2024-03-01 10:05:00", "address": ANN} | fields
    )


def event(**fields: Any) -> dict[str, Any]:
    """One event of a payload."""
    base = {"Type": "Update", "State": "Active", "Date": "2024-03-01 10:05:00", "EmailAddress": ANN}
    return {"CustomFields": [], "Name": "Ann", **base, **fields}


def body(*events: Any, list_id: str = LIST) -> bytes:
    return msgspec.json.encode({"Events": events, "ListID": list_id})


def shown(*options: str) -> list[dict[str, str]]:
    return [{"Key": "[LyticsAudiences]", "Value": option} for option in options]


def quarantined(store: Store) -> list[tuple[str, bytes]]:
    """Reason and raw of everything that was set aside."""
    lines = [line.split(b"\t", 2) for _, line in tail(store, "quarantine", "cm_activity", 100)]
    return [(reason.decode(), raw) for _, reason, raw in lines]


def test_the_documented_delivery_becomes_every_field_of_its_events():
    made = [
        one for key, each in decode(DOCUMENTED).told for one in events_of(ACCOUNT, LIST, key, each, own=False)
    ]
    assert [(one.stream, one.key, one.time, dict(one.values)) for one in made] == DOCUMENTED_EVENTS


def test_a_delivery_is_stored_and_the_same_again_is_not(fake_store):
    before = now_ms()
    first = receive(fake_store, ACCOUNT, DOCUMENTED)
    assert int(fake_store.client.get(keys.told(LIST))) >= before
    again = receive(fake_store, ACCOUNT, DOCUMENTED)
    assert (first.accepted, first.duplicates, first.rang) == (8, 0, True)
    assert (again.accepted, again.duplicates, again.rang) == (0, 8, False)


def test_that_webhooks_come_is_written_down_once_a_second(fake_store, monkeypatch):
    start = now_ms()
    written = []
    for at in (start, start + 999, start + 1000, start + 1500, start - 86_400_000):
        monkeypatch.setattr(incoming, "now_ms", lambda at=at: at)
        receive(fake_store, ACCOUNT, DOCUMENTED)
        written.append(int(fake_store.client.get(keys.told(LIST))) - start)

    assert written == [0, 0, 1000, 1000, -86_400_000]


@pytest.mark.parametrize(
    ("state", "status", "known"),
    [
        ("Unsubscribed", "unsubscribe", "unsubscribed"),
        ("Bounced", "bounce", "bounced"),
        ("Deleted", "delete", "deleted"),
        ("Spam", "spam", "unsubscribed"),
        ("Dormant", "dormant", "dormant"),
    ],
)
def test_a_deactivation_is_an_opt_out_and_a_state(state, status, known):
    activity, person = events_of(ACCOUNT, LIST, ANN, told(type="Deactivate", state=state), own=False)
    assert (activity.values["event"], activity.values["status"]) == ("deactivate", status)
    assert (person.stream, person.values["status"]) == ("cm_user", known)


@pytest.mark.parametrize("state", [None, ""])
def test_a_deactivation_without_a_state_is_an_opt_out_of_an_unknown_kind(state):
    made = events_of(ACCOUNT, LIST, ANN, told(type="Deactivate", state=state), own=False)
    assert [(one.stream, one.values["status"]) for one in made] == [("cm_activity", "unknown")]


def test_an_update_without_a_state_tells_none():
    made = events_of(ACCOUNT, LIST, ANN, told(state=None), own=False)
    assert [one.stream for one in made] == ["cm_activity"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (event(Type="Forward"), "the type of event 'Forward' is not Subscribe, Update or Deactivate"),
        (event(EmailAddress="nobody"), "the e-mail address is not readable"),
        (event(Date="yesterday"), "a time is YYYY-MM-DD HH:MM[:SS], not 'yesterday'"),
        (event(Date=""), "a time is YYYY-MM-DD HH:MM[:SS], not ''"),
        (event(Date="2024-02-30 10:00:00"), "day is out of range for month"),
        (event(Date="9998-01-01 00:00:00"), "its time lies more than two days ahead"),
        (event(Date=20240301), "not an event: Expected `str`, got `int` - at `$.Date`"),
        ({"Type": "Update"}, "not an event: Object missing required field `Date`"),
        ("Update", "not an event: Expected `object`, got `str`"),
        (None, "not an event: Expected `object`, got `null`"),
    ],
)
def test_an_event_that_can_not_be_read_is_set_aside_and_the_others_are_stored(fake_store, bad, reason):
    counts = receive(fake_store, ACCOUNT, body(event(), bad, event(Date="2024-03-01 10:06:00")))
    assert (counts.accepted, counts.quarantined) == (4, 1)
    [(found, _)] = quarantined(fake_store)
    assert found.startswith(reason)


def test_what_was_set_aside_comes_again_and_is_kept_once(fake_store):
    bad = body(event(EmailAddress="nobody"))
    assert receive(fake_store, ACCOUNT, bad).quarantined == 1
    assert receive(fake_store, ACCOUNT, bad).quarantined == 0


@pytest.mark.parametrize(
    "junk",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"Events": []}', b'{"ListID": "l", "Events": {}}', b"<xml/>"],
)
def test_a_body_that_is_no_delivery_is_set_aside_whole(fake_store, junk):
    counts = receive(fake_store, ACCOUNT, junk)
    assert (counts.accepted, counts.quarantined) == (0, 1)
    [(reason, raw)] = quarantined(fake_store)
    assert reason.startswith("not a delivery: ")
    assert raw == junk


def test_characters_that_are_no_utf_8_keep_nothing_from_being_read(fake_store):
    broken = body(event(), event(Name="NAME")).replace(b"NAME", b"\xff\xfe")
    assert receive(fake_store, ACCOUNT, broken).accepted == 4
    names = {one["name"] for one in stored(fake_store, "cm_user")}
    assert names == {"Ann", "\ufffd\ufffd"}


@pytest.mark.parametrize("more", [{"CustomFields": None}, {"Name": None}, {"New": {"Of": ["the", "API"]}}])
def test_what_is_null_or_new_in_an_event_does_no_harm(fake_store, more):
    assert receive(fake_store, ACCOUNT, body(event(**more))).accepted == 2


def test_a_delivery_for_a_list_that_was_not_chosen_is_set_aside_whole(fake_store):
    counts = receive(fake_store, ACCOUNT, body(event(), list_id="other"))
    assert (counts.accepted, counts.quarantined) == (0, 1)
    assert quarantined(fake_store) == [
        ("list other is not one of this import's", body(event(), list_id="other"))
    ]


def test_an_empty_delivery_is_nothing(fake_store):
    counts = receive(fake_store, ACCOUNT, body())
    assert (counts.accepted, counts.duplicates, counts.quarantined) == (0, 0, 0)


# Echoes

AT = to_epoch_ms("2024-03-01 10:05:00", ZONE)


def written(*options: str, at: int = AT, name: str | None = None) -> tuple[int, str]:
    return at, content(name, options)


def held(
    *writes: tuple[int, str], options: tuple[str, ...] = ("Gold",), name: str | None = None
) -> Delivered:
    return Delivered(at=0, name=name, options=options, values={}, writes=writes)


GOLD = (StoredValue("[LyticsAudiences]", "Gold"),)
BOTH = (StoredValue("Lytics Audiences", "Silver"), StoredValue("Lytics Audiences", "Gold"))


@pytest.mark.parametrize(
    ("event_told", "record", "expected"),
    [
        pytest.param(told(fields=GOLD), held(written("Gold")), True, id="what we wrote, then"),
        pytest.param(
            told(type="Subscribe", fields=GOLD), held(written("Gold")), True, id="as a subscription"
        ),
        pytest.param(told(fields=BOTH), held(written("Gold", "Silver")), True, id="values in another order"),
        pytest.param(told(fields=()), held(written()), True, id="cleared"),
        pytest.param(
            told(fields=(*GOLD, StoredValue("[LyticsAudiences]", "Theirs"), StoredValue("[Tier]", "x"))),
            held(written("Gold")),
            True,
            id="beside options and fields that are not ours",
        ),
        pytest.param(told(fields=BOTH), held(written("Gold")), False, id="other values"),
        pytest.param(
            told(fields=GOLD), held(written("Gold"), written("Silver")), True, id="a write before the last"
        ),
        pytest.param(told(fields=GOLD), held(written("Gold", at=AT + 59_999)), True, id="within our minute"),
        pytest.param(
            told(fields=GOLD), held(written("Gold", at=AT + ECHO_WINDOW_MS)), True, id="shown early, in time"
        ),
        pytest.param(
            told(fields=GOLD), held(written("Gold", at=AT - ECHO_WINDOW_MS)), True, id="shown late, in time"
        ),
        pytest.param(
            told(fields=GOLD), held(written("Gold", at=AT + ECHO_WINDOW_MS + 60_000)), False, id="too early"
        ),
        pytest.param(
            told(fields=GOLD), held(written("Gold", at=AT - ECHO_WINDOW_MS - 60_000)), False, id="too late"
        ),
        pytest.param(
            told(fields=GOLD, name="Ann"),
            held(written("Gold", name="Ann"), name="Ann"),
            True,
            id="with the name that we wrote",
        ),
        pytest.param(
            told(fields=GOLD, name="Anne"),
            held(written("Gold", name="Ann"), name="Ann"),
            False,
            id="with another name",
        ),
        pytest.param(told(fields=GOLD, name="Ann"), held(written("Gold")), True, id="a name is not ours"),
        pytest.param(told(fields=GOLD), held(), False, id="never written"),
        pytest.param(told(fields=GOLD), None, False, id="never delivered"),
        pytest.param(
            told(type="Deactivate", state="Unsubscribed", fields=GOLD),
            held(written("Gold")),
            False,
            id="nobody is deactivated by us",
        ),
    ],
)
def test_our_own_write_is_recognised_by_its_content_and_its_time(event_told, record, expected):
    assert is_echo(ACCOUNT, event_told, SETUP, record) is expected


def test_without_an_export_nothing_is_an_echo():
    assert not is_echo(ACCOUNT, told(fields=GOLD), None, held(written("Gold")))


def deliver(store: Store, record: Delivered, key: str = ANN) -> None:
    save_setup(store, LIST, SETUP)
    store.client.hset(store.part(key).delivered(LIST), key, pack(record))


def doubted(store: Store, key: str = ANN) -> bool:
    return store.client.zscore(store.part(key).retry(LIST), key) is not None


def stored(store: Store, stream: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for _, line in tail(store, "stream", stream, 100)]


def test_an_echo_is_kept_as_our_own_and_raises_no_doubt(fake_store):
    deliver(fake_store, held(written("Gold")))
    receive(fake_store, ACCOUNT, body(event(CustomFields=shown("Gold"))))
    assert [one["origin"] for one in stored(fake_store, "cm_activity") + stored(fake_store, "cm_user")] == [
        "self",
        "self",
    ]
    assert not doubted(fake_store)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (shown("Gold", "Silver"), True),
        (shown(), True),
        (shown("Gold"), False),
        (shown("Gold", "Theirs"), False),
    ],
)
def test_who_was_changed_by_others_in_our_field_is_in_doubt(fake_store, fields, expected):
    deliver(fake_store, held(written("Gold", at=0)))
    receive(fake_store, ACCOUNT, body(event(CustomFields=fields)))
    assert doubted(fake_store) is expected
    assert "origin" not in stored(fake_store, "cm_activity")[0]


def test_who_opted_out_is_not_in_doubt(fake_store):
    deliver(fake_store, held(written("Gold")))
    receive(fake_store, ACCOUNT, body(event(Type="Deactivate", State="Unsubscribed", CustomFields=[])))
    assert not doubted(fake_store)


def test_somebody_whom_no_export_delivered_is_not_in_doubt(fake_store):
    deliver(fake_store, held(written("Gold")), key="bob@example.com")
    receive(fake_store, ACCOUNT, body(event(CustomFields=shown("Silver"))))
    assert not doubted(fake_store)


def test_an_event_with_a_bad_time_is_set_aside_for_people_of_exports_too(fake_store):
    deliver(fake_store, held(written("Gold")))
    counts = receive(fake_store, ACCOUNT, body(event(Date="never", CustomFields=shown("Silver"))))
    assert (counts.accepted, counts.quarantined) == (0, 1)
    assert not doubted(fake_store)


NEW = "new@example.org"


def moved(store: Store, **changes: Any) -> None:
    """Ann's row went from `ANN` to another address just now."""
    save_setup(store, LIST, msgspec.structs.replace(SETUP, by_address=True))
    take(store, LIST, [(ANN, "ann"), (NEW, "ann")])
    record = msgspec.structs.replace(held(written("Gold")), **({"address": NEW} | changes))
    store.client.hset(store.part("ann").delivered(LIST), "ann", pack(record))


@pytest.mark.parametrize(
    ("address", "fields", "own", "in_doubt"),
    [
        pytest.param(NEW, shown("Gold"), True, False, id="our move"),
        pytest.param(NEW, shown("Gold", "Theirs"), True, False, id="our move, with options of others"),
        pytest.param(NEW, shown("Silver"), False, True, id="somebody's edit of the moved row"),
        pytest.param(ANN, shown(), True, False, id="our clearing of the old row"),
        pytest.param(ANN, shown("Theirs"), True, False, id="our clearing, with options of others"),
        pytest.param(ANN, shown("Silver"), False, False, id="somebody's edit of the old row"),
    ],
)
def test_what_is_told_of_a_moved_row_is_about_the_person(fake_store, address, fields, own, in_doubt):
    moved(fake_store)
    receive(fake_store, ACCOUNT, body(event(EmailAddress=address, CustomFields=fields)))
    assert ("origin" in stored(fake_store, "cm_activity")[0]) is own
    assert doubted(fake_store, "ann") is in_doubt


def test_what_is_told_of_the_old_row_while_a_move_is_in_doubt_is_about_the_person(fake_store):
    moved(fake_store, earlier=(ANN,))
    receive(fake_store, ACCOUNT, body(event(EmailAddress=ANN, CustomFields=shown("Silver"))))
    assert doubted(fake_store, "ann")


def test_options_of_others_at_the_new_address_are_kept(fake_store):
    moved(fake_store)
    receive(fake_store, ACCOUNT, body(event(EmailAddress=NEW, CustomFields=shown("Gold", "Theirs"))))
    receive(fake_store, ACCOUNT, body(event(EmailAddress=ANN, CustomFields=shown("Other"))))
    found = record_of(fake_store, "ann")
    assert found is not None
    assert found.others == ("Theirs",)


def record_of(store: Store, key: str = ANN) -> Delivered | None:
    packed = store.client.hget(store.part(key).delivered(LIST), key)
    return unpack_delivered(packed) if packed else None


@pytest.mark.parametrize("fields", [shown("Gold", "Theirs"), shown("Theirs"), shown("Gold")])
def test_options_of_others_are_kept_as_the_list_has_them_now(fake_store, fields):
    before = held(written("Gold"))
    deliver(fake_store, msgspec.structs.replace(before, others=("Older",)))

    receive(fake_store, ACCOUNT, body(event(CustomFields=fields)))

    others = tuple(each["Value"] for each in fields if each["Value"] == "Theirs")
    assert record_of(fake_store) == msgspec.structs.replace(before, others=others)


def test_who_leaves_or_comes_without_fields_keeps_the_options_of_others(fake_store):
    before = msgspec.structs.replace(held(written("Gold")), others=("Theirs",))
    deliver(fake_store, before)
    receive(fake_store, ACCOUNT, body(event(Type="Deactivate", State="Deleted", CustomFields=[])))
    assert record_of(fake_store) == before


@pytest.mark.parametrize("adopting", [True, False])
def test_whoever_changes_while_a_list_is_adopted_is_in_doubt(fake_store, adopting):
    save_setup(fake_store, LIST, msgspec.structs.replace(SETUP, adopting=adopting))
    receive(fake_store, ACCOUNT, body(event(CustomFields=shown("Gold"))))
    assert doubted(fake_store) is adopting
    assert record_of(fake_store) is None
