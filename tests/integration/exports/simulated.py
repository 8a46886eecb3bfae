"""An export to a simulated account over HTTP, as a test drives it."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from listbridge import audiences, authorizations
from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor.events import Account as Feed
from listbridge.campaign_monitor.events import status
from listbridge.campaign_monitor.timezones import zone
from listbridge.exports.delivered import unpack_refused
from listbridge.exports.ledger import lags
from listbridge.jobs.deliver import deliver
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.streams.log import append
from listbridge.systems import account_of
from listbridge.workflows import registry, service
from simulator.faults import Fault

IMPORT = r"POST .*/import\.json"


class Export:
    """What people and audiences do, and deliveries, around one simulated list."""

    def __init__(self, context, server):
        settings = replace(context.settings, public_url="http://127.0.0.1:9")
        self.context, self.server = replace(context, settings=settings), server
        self.account = server.account
        (self.client,) = self.account.clients.values()
        (self.list,) = self.client.lists.values()
        self.folder = Folder(context.store, context.program)
        self.authorization = authorizations.create(
            context.store,
            context.secrets,
            secret=server.api_key,
            description="simulated",
            base_url=server.api_url,
        )

    @property
    def budget(self):
        """The account's name as the pacing knows it."""
        return account_of(self.context, self.authorization)

    def create(self, *slugs, heard=True, **settings):
        if heard:
            self.hear()
        settings = {"consent_to_track": "Unchanged"} | settings
        settings |= {
            "client_id": self.client.client_id,
            "list_id": self.list.list_id,
            "audiences": list(slugs),
        }
        return service.create_export(self.context, self.authorization.id, settings)

    def hear(self, at=None):
        """Something was told of who opted out, as by a webhook."""
        self.context.store.client.set(keys.told(self.list.list_id), at or now_ms())

    def happen(self, *events):
        """Audience events: (what, address, audience, further values)."""
        made = [
            audiences.AudienceEvent(
                email=email, audience=audience, event=what, **({"timestamp": audiences.now()} | dict(*values))
            )
            for what, email, audience, *values in events
        ]
        audiences.receive(self.context.store, made)
        self.folder.run()
        time.sleep(0.002)  # what is made next is of a later millisecond

    def tell_status(self, email):
        """The list's state of a person reaches the stream, as a webhook or an import brings it."""
        person = self.list.find(email)
        feed = Feed(self.client.client_id, self.client.name, zone(self.client.time_zone))
        event = status(
            feed,
            self.list.list_id,
            email,
            address=email,
            state=person.state,
            date=person.date,
            name=None,
            fields={},
        )
        append(self.context.store, [event])
        self.folder.run()

    def deliver(self):
        return deliver(self.context, self.list.list_id)

    def deliver_until_rest(self, seconds=8.0):
        """Deliveries as the sweep asks for them; sleeps are cut short."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for workflow in registry.exports_to(self.context.store, self.list.list_id):
                self.context.store.client.hset(keys.workflow(workflow.id), "wake_at", 1)
            self.context.store.client.delete(keys.pace(self.budget))
            self.deliver()
            if not any(lags(self.context.store, self.list.list_id, now_ms() + 60_000)):
                return
            time.sleep(0.05)
        found = [
            (each.state, each.reason) for each in registry.exports_to(self.context.store, self.list.list_id)
        ]
        raise AssertionError(f"the deliveries never come to rest: {found}")

    def act(self, action, email, **details):
        self.server.simulator.act(action, self.list.list_id, email, **details)

    def fault(self, kind, *, match=IMPORT, **options):
        self.server.simulator.faults.add(Fault(kind=kind, match=match, **options))

    def held(self, email, field="Lytics Audiences"):
        """The person's values in the list's field; None for nobody, or the state of who is not active."""
        person = self.list.find(email)
        if person is None or person.state != "Active":
            return person and person.state
        keys_of = {each.name: each.key for each in self.list.fields}
        return person.values.get(keys_of[field], [])

    def calls(self, endpoint="POST /subscribers/{list}/import"):
        return self.server.simulator.calls.report()["by_endpoint"].get(endpoint, 0)

    def refusals(self):
        store, found = self.context.store, {}
        for part in store.parts:
            found |= store.client.hgetall(part.refused(self.list.list_id))
        return {key.decode(): unpack_refused(packed) for key, packed in found.items()}

    def state(self, workflow):
        return registry.get(self.context.store, workflow.id).state


def minutes_from_now(minutes):
    return datetime.now(UTC) + timedelta(minutes=minutes)
