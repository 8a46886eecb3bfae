"""What the tests of linked addresses share: deliveries of webhooks, and events to count."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor.events import Account
from listbridge.profiles.reading import profile_of
from listbridge.store.store import Store
from listbridge.streams.events import Event
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY

LIST = "96c0bbdaa54760c8d9e62a2b7ffa2e13"
ACCOUNT = Account("c1", "Client One", ZoneInfo("UTC"), {LIST: "Newsletter", "l2": "Other"})
BEGIN = datetime(2024, 3, 1, 10, 0, tzinfo=UTC)
A, B, C = "ann@old.example", "ann@new.example", "ann@third.example"


def at(minute):
    """Epoch ms of a minute after the beginning."""
    return int((BEGIN + timedelta(minutes=minute)).timestamp() * 1000)


def text(minute):
    return (BEGIN + timedelta(minutes=minute)).strftime("%Y-%m-%d %H:%M:%S")


def webhook(*events, list_id=LIST):
    return json.dumps({"ListID": list_id, "Events": list(events)}).encode()


def changed(old, new, minute):
    """The webhook's event of a changed address."""
    return {
        "Type": "Update",
        "Date": text(minute),
        "OldEmailAddress": old,
        "EmailAddress": new,
        "Name": "Ann",
        "State": "Active",
        "CustomFields": [],
    }


def subscribed(address, minute):
    return {
        "Type": "Subscribe",
        "Date": text(minute),
        "EmailAddress": address,
        "Name": "",
        "CustomFields": [],
    }


def opened(key, minute):
    values = {"email": key, "event": "open", "campaign_id": "c"}
    return Event(CM_ACTIVITY, key, at(minute), ("open", key, minute), values)


def membership(key, minute, event="enter", audience="vip"):
    values = {"email": key, "audience": audience, "event": event}
    return Event(AUDIENCE, key, at(minute), (event, audience, key, minute), values)


def fold(context):
    Folder(context.store, context.programs, context.archive).run()


def seen(context, address):
    return profile_of(context.store, context.programs, address, history=context.archive)


class Killed(BaseException):
    """The process was killed."""


class MortalStore(Store):
    """A store whose process is killed just before its `life`th script, one partition at a time."""

    def __init__(self, store, life):
        super().__init__(store.client, store.partitions)
        self.life = life

    def script(self, source, keys, args):
        self.life -= 1
        if self.life < 0:
            raise Killed
        return super().script(source, keys, args)

    def scripts(self, source, calls, **_):
        return [self.script(source, *call) for call in calls]
