"""An account that changes between any two calls, and a worker that dies at any command to the store."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

import redis
from mortal import Killed

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.revisits import DAY_MS
from listbridge.imports import cursors as cursors_module
from listbridge.imports.protocol import Resource
from listbridge.jobs.pull import lease_of
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.streams.log import tail
from listbridge.workflows import registry, service
from listbridge.workflows.models import State
from simulator import changes, people, reports
from simulator.account import Campaign
from simulator.clock import moment
from simulator.errors import ApiError
from simulator.faults import Fault
from simulator.journeys import start_journeys
from simulator.readers import clicking, opening

DRIP_SECONDS = 0.6


@dataclass
class Fate:
    """At which command to the store its caller dies (-1: never), and whether that one took effect."""

    dies_at: int = -1
    takes_effect: bool = False
    steps: int = 0

    def step(self, effect, partial=None):
        """Do one command; what came in one round trip may be done in part."""
        if self.dies_at < 0:
            return effect()
        self.steps += 1
        if self.steps <= self.dies_at:
            return effect()
        if self.steps == self.dies_at + 1 and self.takes_effect:
            (partial or effect)()
        raise Killed

    def lives(self):
        self.dies_at, self.steps = -1, 0


class MortalRedis(redis.Redis):
    """A client whose commands are steps of a fate."""

    fate = Fate()

    def execute_command(self, *args, **options):
        return self.fate.step(lambda: super(MortalRedis, self).execute_command(*args, **options))


class MortalStore(Store):
    """A store in which some partitions' scripts may have run when its caller dies, and others not."""

    one_command = False

    def _pipelined(self, source, calls, at_once):
        def some():
            return super(MortalStore, self)._pipelined(source, calls[: len(calls) // 2], at_once)

        return self.client.fate.step(
            lambda: super(MortalStore, self)._pipelined(source, calls, at_once), some
        )


def small(call):
    """The call with the smallest pages there are."""

    def made(self, *args, **more):
        return call(self, *args, **{**more, "page_size": 10})

    return made


class SmallestPages(CampaignMonitor):
    """The client with pages small enough that every resource has several."""

    campaigns = small(CampaignMonitor.campaigns)
    subscribers = small(CampaignMonitor.subscribers)
    journey_report = small(CampaignMonitor.journey_report)
    report = small(CampaignMonitor.report)
    suppression_list = small(CampaignMonitor.suppression_list)


@dataclass
class ChangingAccount:
    """A simulated account, what it has ever held, and the import that reads it."""

    importer: object
    workflow: object
    ever: Counter = field(default_factory=Counter)
    lists: set = field(default_factory=set)
    due: dict = field(default_factory=dict)
    """Number of a call -> what happens after it."""
    calls: int = 0
    fresh: int = 0

    def __post_init__(self):
        self.simulator = self.importer.server.simulator
        self.account = self.simulator.account
        self.client = self.account.clients[self.importer.client_id]
        self.look()
        counted = self.simulator.calls.count

        def count(endpoint, status):
            counted(endpoint, status)
            with self.account.lock:
                self.calls += 1
                for happening in self.due.pop(self.calls, ()):
                    self.happen(happening)

        self.simulator.calls.count = count

    @property
    def store(self):
        return self.importer.context.store

    def look(self):
        """Note what the account holds now, rows of lists that were dropped included."""
        self.lists |= set(self.client.lists)
        self.ever |= self.importer.held(sorted(self.lists))

    # A run

    def run(self, happenings=(), trouble=None, in_flight=1):
        """One attempt, during which things happen; they all have happened at its end."""
        self.calls, self.due = 0, {}
        for after, *happening in happenings:
            self.due.setdefault(after, []).append(happening)
        drips = trouble and trouble[0] == "drip"
        self.importer.hurry(in_flight, DRIP_SECONDS / 2 if drips else 60.0)
        fate = self.store.client.fate
        self.wake()
        if trouble and trouble[0] == "kill":
            _, fate.dies_at, fate.takes_effect = trouble
        elif trouble:
            kind, after, match = trouble
            fault = Fault(kind=kind, match=self.meant(match), after=after, seconds=DRIP_SECONDS)
            self.simulator.faults.add(fault)
        try:
            self.importer.run(self.workflow)
        except Killed:
            pass
        finally:
            fate.lives()
            self.simulator.faults.clear()
            self.store.client.delete(keys.lease(lease_of(self.workflow.id)))  # it ran out since
        with self.account.lock:
            for after in sorted(self.due):
                for happening in self.due[after]:
                    self.happen(happening)
            self.due = {}

    def meant(self, match):
        """A pattern of calls; of one list for `list`."""
        return f"GET .*/lists/{next(iter(self.client.lists))}/" if match == "list" else f"GET .*{match}"

    def wake(self):
        for name in self.store.client.scan_iter("lb:pace:*"):
            self.store.client.delete(name)
        state = self.importer.state(self.workflow).state
        assert state in (State.RUNNING, State.SLEEPING), self.importer.state(self.workflow).reason
        if state is State.SLEEPING:
            registry.wake(self.store, self.workflow.id)
            service.resume(self.importer.context, self.workflow.id)

    def finish(self):
        """A run without trouble, that comes to its end."""
        self.run()
        held = self.importer.state(self.workflow)
        assert (held.state, held.failures) == (State.SLEEPING, 0), held.reason
        assert not [line for line in self.importer.log(self.workflow)[-3:] if line.startswith("skipped")]

    def grow_old(self):
        """Let every reading be from long ago, so that all is looked at again, from the beginning."""
        long_ago = now_ms() - 400 * DAY_MS
        for name, cursor in cursors_module.cursors(self.store, self.importer.client_id).items():
            aged = {"complete_from": min(cursor.complete_from, long_ago), "whole_from": long_ago}
            made = Resource(name, (name,), None)
            changed = replace(cursor, **aged)
            cursors_module.save(self.store, self.importer.client_id, made, changed)

    # What happens

    def happen(self, happening):
        what, *details = happening
        getattr(self, what)(*details)
        self.look()

    def read(self, rows, seed):
        with suppress(ApiError):  # nobody can leave a list that was dropped
            self.simulator.produce(rows, seed)

    def read_automated(self, rows, seed):
        self.simulator.produce_automated(rows, seed)

    def again(self, report, seed, times):
        """Rows equal to one that is there already, with its old date, which no summary need tell of."""
        campaign, chance = self.some_campaign(seed), Random(seed)
        rows = campaign.reports[report].rows() if campaign else ()
        if rows and report in ("opens", "clicks"):
            row = chance.choice(rows)
            for _ in range(times):
                campaign.reports[report].add(row)

    def late(self, report, seed):
        """A row that is entered with a date between the sending and now."""
        campaign, chance = self.some_campaign(seed), Random(seed)
        if campaign is None or not campaign.audience:
            return
        email, list_id = chance.choice(campaign.audience)
        span = max((self.account.clock.now() - campaign.sent).total_seconds(), 0)
        date = moment(campaign.sent + timedelta(seconds=span * chance.random()), self.client.zone).minute
        made = {
            "opens": lambda: opening(chance, email, list_id, date),
            "clicks": lambda: clicking(email, list_id, date, chance.choice(campaign.links)),
            "bounces": lambda: reports.Bounce(email, list_id, "Soft", date, "Mailbox Full"),
            "unsubscribes": lambda: reports.Unsubscribe(email, list_id, date, "100.64.0.1"),
            "spam": lambda: reports.SpamComplaint(email, list_id, date),
        }
        campaign.reports[report].add(made[report]())

    def act(self, action, seed):
        """Somebody of a list leaves it, or comes back."""
        target = self.some_list(seed)
        person = self.some(sorted(target.subscribers) if target else [], seed)
        if person:
            people.act(self.account, action, target.list_id, person, {})

    def join(self, count, seed):
        """New people, all in one minute."""
        target = self.some_list(seed)
        for _ in range(count if target else 0):
            self.fresh += 1
            people.act(self.account, "subscribe", target.list_id, f"new.{self.fresh}@example.com", {})

    def suppress(self):
        self.fresh += 1
        at = self.account.moment(self.client)
        changes.suppress(self.account, self.client, f"never.{self.fresh}@example.com", "Unsubscribed", at)

    def unsuppress(self, seed):
        entry = self.some(sorted(self.client.suppressed), seed)
        self.client.suppressed.pop(entry, None)

    def new_list(self, count):
        self.fresh += 1
        made = self.account.add_list(self.client, f"List {self.fresh}")
        for number in range(count):
            people.act(self.account, "subscribe", made.list_id, f"p{number}.{self.fresh}@example.com", {})

    def drop_list(self, seed):
        if len(self.client.lists) > 1:
            del self.client.lists[self.some_list(seed).list_id]

    def new_campaign(self, seed):
        """It was just sent to one list; more are still on their way, perhaps."""
        target, chance = self.some_list(seed), Random(seed)
        active = [each.email for each in target.subscribers.values() if each.state == "Active"]
        now = self.account.clock.now()
        at = moment(now, self.client.zone).minute
        made = Campaign(
            campaign_id=self.account.new_id(),
            client=self.client,
            name=f"Campaign {seed}",
            subject="News",
            sent=now,
            sent_date=at,
            tags=[],
            links=["https://meridian.example/news"],
            lists=[target],
            segments=[],
            audience=[(email, target.list_id) for email in active],
            reports=reports.empty(),
        )
        for email, list_id in made.audience[: chance.randrange(30)]:
            made.reports["recipients"].add(reports.Recipient(email, list_id))
        self.client.campaigns[made.campaign_id] = made

    def send_on(self, seed, count):
        """More people are sent a campaign."""
        campaign = self.some_campaign(seed)
        if campaign is None:
            return
        recipients = campaign.reports["recipients"]
        sent = {row.EmailAddress for row in recipients.rows()}
        waiting = [each for each in campaign.audience if each[0] not in sent]
        for email, list_id in Random(seed).sample(waiting, min(count, len(waiting))):
            recipients.add(reports.Recipient(email, list_id))

    def drop_campaign(self, seed):
        campaign = self.some_campaign(seed)
        if campaign:
            del self.client.campaigns[campaign.campaign_id]

    def new_journey(self, seed):
        since = self.account.clock.now() - timedelta(days=60)
        start_journeys(self.account, self.client, 1, since, Random(seed))

    def drop_journey(self, seed):
        self.client.journeys.pop(self.some(sorted(self.client.journeys), seed), None)

    def wait(self, minutes):
        self.account.clock.advance(60 * minutes)

    def some(self, things, seed):
        return things[seed % len(things)] if things else None

    def some_list(self, seed):
        return self.some(list(self.client.lists.values()), seed)

    def some_campaign(self, seed):
        return self.some(list(self.client.campaigns.values()), seed)

    # What must be

    def check_states(self):
        """Who is in which list, and how, is known without waiting for anything to grow old."""
        missing = self.importer.held() - self.importer.stored()
        assert not [fact for fact in missing if fact[0] == "state"]

    def check(self):
        stored, held = self.importer.stored(), self.importer.held()
        assert held - stored == Counter(), "lost"
        assert stored - self.ever == Counter(), "doubled or made up"
        suppressed = self.store.client.smembers(keys.suppressed(self.importer.client_id, "addresses"))
        assert {each.decode() for each in suppressed} == set(self.client.suppressed)
        for name in ("cm_user", "cm_activity"):
            assert not tail(self.store, "quarantine", name, 10)
