"""Webhooks of lists: one per list and import, found again, and what the receiver has to know of them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from listbridge.campaign_monitor import CampaignMonitor, gaps
from listbridge.campaign_monitor.calls.webhooks import WebhookEvent
from listbridge.campaign_monitor.errors import NotVisible
from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.gaps import Gap
from listbridge.campaign_monitor.models import Webhook
from listbridge.secrets import Secrets
from listbridge.store import keys
from listbridge.store.store import Store, now_ms

EVENTS: tuple[WebhookEvent, ...] = ("Subscribe", "Deactivate", "Update")
GRACE_MS = 3_600_000
"""How long an old token is good after the last webhook with it was replaced: a delivery may be on its way."""
SILENT_MS = 8 * 86_400_000
"""A webhook is switched off after a week of failures; what happened in that time may be missing."""

# KEYS: receiver; ARGV: the value as read (empty: none), the new one -> 1 when it was written
_REPLACE = """
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class Receiver(msgspec.Struct, kw_only=True):
    """What the receiver knows of an import. Tokens are SHA-256 sums; several can be valid at once.

    `token` is the current one, encrypted: the webhook's URL has to be made again from it. `retiring` are the
    sums of others -> until when they are good (epoch ms; 0: a webhook may still have it). `aside` are lists
    that can't be seen -> why; `seen`: list -> when its webhook was last found or put in order, and
    `looked_at` when that was done for all.
    """

    client_id: str
    client_name: str
    zone: str
    lists: dict[str, str]
    token: str
    tokens: list[str]
    retiring: dict[str, int] = {}
    rotated_at: int = 0
    aside: dict[str, str] = {}
    seen: dict[str, int] = {}
    looked_at: int = 0

    def admits(self, token: str) -> bool:
        """Is this one of the valid tokens? In constant time."""
        offered, now = digest(token), now_ms()
        return any([hmac.compare_digest(offered, each) and self._is_good(each, now) for each in self.tokens])  # noqa: C419 - a list: all are compared

    def _is_good(self, valid: str, now: int) -> bool:
        until = self.retiring.get(valid, 0)
        return not until or now < until

    @property
    def account(self) -> Account:
        return Account(self.client_id, self.client_name, ZoneInfo(self.zone), self.lists)


_decode = msgspec.json.Decoder(Receiver).decode
Change = Callable[[Receiver | None], Receiver]


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def receiver(store: Store, workflow_id: str) -> Receiver | None:
    """The receiver of an import, or None when there is none."""
    held = _packed(store, workflow_id)
    return _decode(held) if held else None


def _packed(store: Store, workflow_id: str) -> bytes:
    return cast(bytes | None, store.client.get(keys.receiver(workflow_id))) or b""


def _change(store: Store, workflow_id: str, change: Change) -> Receiver:
    """Compare and set, so that of a run and a rotation neither undoes the other."""
    while True:
        held = _packed(store, workflow_id)
        changed = change(_decode(held) if held else None)
        if store.script(_REPLACE, [keys.receiver(workflow_id)], [held, msgspec.json.encode(changed)]):
            return changed


def rotate(store: Store, box: Secrets, workflow_id: str) -> bool:
    """Make another token the current one; False when the import has no receiver. The next run replaces the
    webhooks; until then, and for a grace afterwards, the old one stays good."""
    token, now = secrets.token_urlsafe(32), now_ms()
    encrypted = box.encrypt(token)
    if receiver(store, workflow_id) is None:
        return False

    def change(held: Receiver | None) -> Receiver:
        assert held is not None, "a receiver ends with its import"
        old = {each: held.retiring.get(each, 0) for each in held.tokens}
        return msgspec.structs.replace(
            held, token=encrypted, tokens=[digest(token), *old], retiring=old, rotated_at=now
        )

    _change(store, workflow_id, change)
    return True


def must_look(store: Store, workflow_id: str) -> bool:
    """Has something happened since an import's webhooks were looked at: a gap of all, a rotation?

    What is found of one list's webhook is made up for by the run that finds it.
    """
    held = receiver(store, workflow_id)
    if held is None:
        return False
    return held.looked_at < max(held.rotated_at, gaps.last_end(store))


class Registrar:
    """Keeps one webhook per list for one import."""

    def __init__(
        self, store: Store, box: Secrets, client: CampaignMonitor, workflow_id: str, public_url: str
    ) -> None:
        self._store = store
        self._box = box
        self._client = client
        self._workflow_id = workflow_id
        self._public_url = public_url

    def register(self, account: Account, aside: Mapping[str, str], polls: str) -> list[str]:
        """Make the webhooks that are missing, wake those that were switched off; -> what was done.

        `aside` are chosen lists that can't be seen -> why; lists that can't be seen now join them. `polls`
        says how often lists are read, for the words about an installation without an address.
        """
        before = receiver(self._store, self._workflow_id)
        held = self._known(account, aside)
        if not self._public_url:
            return [
                "no webhooks: LISTBRIDGE_PUBLIC_URL is not set, so opt-outs are known only when lists are "
                f"read ({polls}), and exports to these lists bring nobody back"
            ]
        token = self._box.decrypt(held.token)
        done, unseen, seen = [], dict(aside), dict(held.seen)
        for list_id, name in account.lists.items():
            try:
                done.append(self._register(list_id, name, token, before))
                seen[list_id] = now_ms()
            except NotVisible as problem:
                unseen[list_id] = f"the list is not shown to this credential: {problem}"
        done += [
            f"webhook of {held.lists.get(each, each)} is set aside: {why}" for each, why in unseen.items()
        ]
        self._looked(token, unseen, seen, may_deliver=bool(unseen.keys() - aside.keys()))
        return done

    def remove(self) -> None:
        """Delete this import's webhooks, and forget its tokens."""
        held = receiver(self._store, self._workflow_id)
        for list_id in held.lists if held else ():
            try:
                for hook in self._own(list_id):
                    self._client.delete_webhook(list_id, hook.webhook_id)
            except NotVisible:
                continue  # the list is gone, and its webhooks with it
        self._store.client.delete(keys.receiver(self._workflow_id))

    @property
    def _path(self) -> str:
        return f"/webhooks/campaign-monitor/{self._workflow_id}/"

    def _own(self, list_id: str) -> list[Webhook]:
        """The webhooks of a list that are this import's, also those with an older address or token."""
        return [hook for hook in self._client.webhooks(list_id) if self._path in hook.url]

    def _known(self, account: Account, aside: Mapping[str, str]) -> Receiver:
        """Bring what the receiver knows up to date: it takes deliveries from before the webhooks are made.

        Lists that can't be seen are kept: their webhooks may deliver all the same.
        """
        token = secrets.token_urlsafe(32)
        encrypted = self._box.encrypt(token)

        def change(held: Receiver | None) -> Receiver:
            now = now_ms()
            kept = {each: name for each, name in held.lists.items() if each in aside} if held else {}
            over = {each for each, until in held.retiring.items() if 0 < until <= now} if held else set()
            lists = kept | dict(account.lists)
            if held is None:
                held = Receiver(
                    client_id="", client_name="", zone="", lists={}, token=encrypted, tokens=[digest(token)]
                )
            return msgspec.structs.replace(
                held,
                client_id=account.client_id,
                client_name=account.client_name,
                zone=account.zone.key,
                lists=lists,
                tokens=[each for each in held.tokens if each not in over],
                retiring={each: until for each, until in held.retiring.items() if each not in over},
            )

        return _change(self._store, self._workflow_id, change)

    def _looked(self, token: str, unseen: dict[str, str], seen: dict[str, int], *, may_deliver: bool) -> None:
        """Keep what was found. Old tokens have their grace from now on, unless one of the lists that could
        not be seen `may_deliver` with it. A list that the client does not have any more can't."""
        now = now_ms()

        def change(held: Receiver | None) -> Receiver:
            assert held is not None, "a run ends before its import is deleted"
            current = digest(token) == held.tokens[0]
            retiring = held.retiring
            if current and not may_deliver:
                retiring = {each: at or now + GRACE_MS for each, at in held.retiring.items()}
            return msgspec.structs.replace(
                held,
                aside=unseen,
                seen=seen,
                looked_at=now if current else held.looked_at,
                retiring=retiring,
            )

        _change(self._store, self._workflow_id, change)

    def _register(self, list_id: str, name: str, token: str, before: Receiver | None) -> str:
        """Put one list's webhook in order; -> what was done. A new one is made before others are deleted."""
        here = f"{self._public_url}{self._path}"
        url = f"{here}{token}"
        own = self._own(list_id)
        found = next((hook for hook in own if hook.url == url and _tells_all(hook)), None)
        delivered = any(hook.status == "Active" and hook.url.startswith(here) for hook in own)
        if found is None:
            self._client.create_webhook(list_id, url, EVENTS)
            done = f"webhook of {name} {'replaced' if own else 'made'}"
        elif found.status != "Active":
            self._client.activate_webhook(list_id, found.webhook_id)
            done = f"webhook of {name} had been switched off and is active again"
        else:
            done = f"webhook of {name} is there"
        for hook in own:
            if hook is not found:
                self._delete(list_id, hook)
        switched_off = any(hook.status != "Active" for hook in own)
        return done + self._gap(list_id, before, switched_off=switched_off, missed=not delivered)

    def _delete(self, list_id: str, hook: Webhook) -> None:
        with suppress(NotVisible):  # somebody else was first
            self._client.delete_webhook(list_id, hook.webhook_id)

    def _gap(self, list_id: str, before: Receiver | None, *, switched_off: bool, missed: bool) -> str:
        """Note that deliveries of the list may be missing, and since when; -> the words for it."""
        seen = before.seen.get(list_id) if before is not None else None
        if before is None or seen is None:
            return ""  # nothing was ever to be delivered
        back = list_id in before.aside
        if not missed and not back:
            return ""
        now = now_ms()
        since = min(seen, now - SILENT_MS) if switched_off else seen
        gaps.note(self._store, list_id, Gap(since, now))
        told = "; the list is shown again" if back else ""
        return f"{told}; deliveries may be missing, so the list is read again"


def _tells_all(hook: Webhook) -> bool:
    return hook.payload_format.casefold() in ("", "json") and {*EVENTS} <= {*hook.events}
