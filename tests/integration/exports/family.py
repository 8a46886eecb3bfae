"""A simulated client with three lists, exports between them, and what its webhooks tell."""

from contextlib import contextmanager
from dataclasses import replace

from listbridge import audiences, authorizations
from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor import incoming
from listbridge.campaign_monitor.events import Account as Names
from listbridge.campaign_monitor.source import remember_lists
from listbridge.campaign_monitor.timezones import zone
from listbridge.campaign_monitor.webhooks import EVENTS
from listbridge.exports.delivered import unpack_refused
from listbridge.jobs.deliver import deliver
from listbridge.jobs.sweep import sweep
from listbridge.workflows import service
from simulator.account import Account, Webhook
from simulator.server import SimulatorServer
from simulator.webhooks import payload

HOUR = 3600


@contextmanager
def family_of(context):
    """Three lists, A, B and C, of one simulated client."""
    settings = replace(
        context.settings, api_connect_timeout_seconds=0.5, api_read_timeout_seconds=2.0, flush_milliseconds=0
    )
    account = Account("a" * 32)
    client = account.add_client("A client")
    for title in ("A", "B", "C"):
        account.add_list(client, title)
    with SimulatorServer(account) as server:
        yield Family(replace(context, settings=settings), server)


class Family:
    """A simulated client with three lists: `told` passes on what the webhooks of all lists have to tell."""

    def __init__(self, context, server):
        self.context, self.server, self.account = context, server, server.account
        (self.client,) = self.account.clients.values()
        self.a, self.b, self.c = self.client.lists.values()
        for each in (self.a, self.b, self.c):
            each.unsubscribe_setting = "OnlyThisList"
            hook = Webhook(self.account.new_id(), each.list_id, [*EVENTS], "http://127.0.0.1:9/", "Json")
            each.webhooks[hook.webhook_id] = hook
        names = {each.list_id: each.title for each in self.client.lists.values()}
        self.names = Names(self.client.client_id, self.client.name, zone(self.client.time_zone), names)
        remember_lists(context.store, self.client.client_id, names)
        self.folder = Folder(context.store, context.program)
        self.heard = 0
        self.authorization = authorizations.create(
            context.store,
            context.secrets,
            secret=server.api_key,
            description="simulated",
            base_url=server.api_url,
        )

    def feed(self, target, **settings):
        config = {
            "client_id": self.client.client_id,
            "list_id": target.list_id,
            "audiences": ["vip"],
            "consent_to_track": "Unchanged",
            "opt_out_scope": "client",
        }
        return service.create_export(self.context, self.authorization.id, config | settings)

    def enter(self, *people, what="enter"):
        made = [
            audiences.AudienceEvent(email=each, audience="vip", event=what, timestamp=audiences.now())
            for each in people
        ]
        audiences.receive(self.context.store, made)
        self.folder.run()

    def act(self, action, target, email, **details):
        self.server.simulator.act(action, target.list_id, email, **details)

    def tell(self):
        told, self.heard = self.account.webhook_events[self.heard :], len(self.account.webhook_events)
        for each in told:
            incoming.receive(self.context.store, self.names, payload(each.list_id, [each.event]))
        self.folder.run()

    def deliver(self):
        """Everything that is due at all lists, until the webhooks tell nothing more."""
        for _ in range(6):
            self.tell()
            for list_id in sweep(self.context).lists:
                deliver(self.context, list_id)
            if len(self.account.webhook_events) == self.heard and not sweep(self.context).lists:
                return
        raise AssertionError("it never comes to rest")

    def states(self, email):
        found = [each.find(email) for each in (self.a, self.b, self.c)]
        return [person.state if person else None for person in found]

    def calls(self, name="POST /subscribers/{list}/unsubscribe"):
        return self.server.simulator.calls.report()["by_endpoint"].get(name, 0)

    def refusal(self, target, email):
        packed = self.context.store.client.hget(self.context.store.part(email).refused(target.list_id), email)
        return unpack_refused(packed) if packed else None

    def later(self, seconds=HOUR):
        self.account.clock.advance(seconds)
