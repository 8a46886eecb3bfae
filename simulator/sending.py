"""Half a year of campaigns: who received, opened, clicked, bounced and left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from simulator import catalogue, changes, readers, segments
from simulator.account import Account, Campaign, Client, Segment, Subscriber, SubscriberList
from simulator.clock import Moment, moment
from simulator.people import ip_of
from simulator.reports import Bounce, Click, Open, Recipient, Report, SpamComplaint, Unsubscribe

# Shares of a report's rows, as a travel newsletter has them.
SENT, CLICKS_OF_READING = 0.55, 0.24
SOFT_BOUNCES, HARD_BOUNCES, UNSUBSCRIBES, COMPLAINTS = 0.010, 0.008, 0.010, 0.002
LONGEST_READING = timedelta(days=14)


@dataclass
class _Audience:
    """Whom a campaign could go to: (list, person) of lists or of one segment."""

    people: list[tuple[SubscriberList, Subscriber]]
    lists: list[SubscriberList] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)


def send_campaigns(
    account: Account,
    client: Client,
    campaigns: int,
    rows: int,
    start: datetime,
    ranks: dict[str, int],
    chance: Random,
) -> None:
    """Send `campaigns` between `start` and now, in order, so that the reports hold about `rows` rows.

    `ranks` is address -> keenness, 0 first. Whoever leaves does so before the next campaign is sent.
    """
    now = account.clock.now().replace(second=0, microsecond=0)
    gap = (now - start) / campaigns
    written = 0
    for number in range(campaigns):
        sent = start + gap * (number + 0.1 + 0.3 * chance.random())
        wanted = round(rows * (number + 1) / campaigns) - written
        audience = _choose(client, sent, wanted * SENT, ranks, chance)
        campaign = _campaign(account, client, audience, sent.replace(second=0, microsecond=0), number, chance)
        campaign.audience = [(person.email, target.list_id) for target, person in audience.people]
        client.campaigns[campaign.campaign_id] = campaign
        _Sending(account, campaign, audience, now, gap * 0.5, chance).run(wanted)
        written += sum(map(len, campaign.reports.values()))


def _choose(
    client: Client, sent: datetime, wanted: float, ranks: dict[str, int], chance: Random
) -> _Audience:
    """An audience near the wanted size, or a sample of one too large."""
    date = moment(sent, client.zone).minute
    options = sorted(_options(client, date), key=lambda option: abs(len(option.people) - wanted))
    chosen = chance.choice(options[:3])
    if len(chosen.people) > wanted * 1.15:
        chosen.people = chance.sample(chosen.people, max(int(wanted), 1))
    chosen.people.sort(key=lambda reached: ranks[reached[1].email])
    return chosen


def _options(client: Client, date: str) -> list[_Audience]:
    """One or two lists, a segment, or a list and a segment of another."""
    lists = list(client.lists.values())
    pairs = [(one, two) for position, one in enumerate(lists) for two in lists[position + 1 :]]
    groups = [*((one,) for one in lists), *pairs]
    options = [_Audience(_reachable(list(group), date), lists=list(group)) for group in groups]
    for owner in lists:
        for segment in owner.segments.values():
            people = [(owner, person) for person in segments.members(segment) if person.joined <= date]
            options.append(_Audience(people, segments=[segment]))
            for other in lists:
                if other is not owner:
                    reached = _reachable([other], date)
                    known = {person.email.lower() for _, person in reached}
                    reached += [one for one in people if one[1].email.lower() not in known]
                    options.append(_Audience(reached, lists=[other], segments=[segment]))
    return options


def _reachable(lists: list[SubscriberList], date: str) -> list[tuple[SubscriberList, Subscriber]]:
    """The Active of all lists; who is in several gets one copy, by the first."""
    reached: dict[str, tuple[SubscriberList, Subscriber]] = {}
    for target in lists:
        for key, person in target.subscribers.items():
            if person.state == "Active" and person.joined <= date:
                reached.setdefault(key, (target, person))
    return list(reached.values())


def _campaign(
    account: Account, client: Client, audience: _Audience, sent: datetime, number: int, chance: Random
) -> Campaign:
    subject = catalogue.SUBJECTS[number % len(catalogue.SUBJECTS)]
    slug = "-".join("".join(c if c.isalnum() else " " for c in subject.lower()).split()) + f"-{number + 1}"
    tags = chance.sample(catalogue.TAGS, chance.randint(0, 2))
    return Campaign(
        campaign_id=account.new_id(),
        client=client,
        name=f"{sent:%Y-%m} {subject}",
        subject=subject,
        sent=sent,
        sent_date=moment(sent, client.zone).minute,
        tags=tags,
        links=[link.format(slug=slug) for link in catalogue.LINKS],
        lists=audience.lists,
        segments=audience.segments,
        audience=[],
        reports={},
    )


@dataclass
class _Sending:
    """One campaign's consequences. `patience` is how long after it people leave at most."""

    account: Account
    campaign: Campaign
    audience: _Audience
    now: datetime
    patience: timedelta
    chance: Random

    def run(self, wanted: int) -> None:
        """Write all reports, `wanted` rows in total if the audience allows."""
        people = self.audience.people
        recipients = [Recipient(person.email, target.list_id) for target, person in people]
        bounces, unsubscribes, complaints, dead = self._leave(wanted)
        left = wanted - len(recipients) - len(bounces) - len(unsubscribes) - len(complaints)
        alive = [reached for reached in self.campaign.audience if reached[0] not in dead]
        clicks_wanted = round(max(left, 0) * CLICKS_OF_READING)
        opens = self._opens(alive, max(left, 0) - clicks_wanted)
        self.campaign.reports = {
            "recipients": Report(recipients, "email"),
            "opens": Report(opens),
            "clicks": Report(self._clicks(opens, clicks_wanted)),
            "bounces": Report(bounces),
            "unsubscribes": Report(unsubscribes),
            "spam": Report(complaints),
        }

    def _leave(self, wanted: int) -> tuple[list[Bounce], list[Unsubscribe], list[SpamComplaint], set[str]]:
        """Draw who bounces and who leaves and let them, in the order of time."""
        kinds = [("soft", SOFT_BOUNCES), ("hard", HARD_BOUNCES), ("unsubscribed", UNSUBSCRIBES)]
        counts = [(kind, round(wanted * share)) for kind, share in [*kinds, ("spam", COMPLAINTS)]]
        drawn = self.chance.sample(
            self.audience.people, min(sum(count for _, count in counts), len(self.audience.people) // 2)
        )
        leaving = []
        for kind, count in counts:
            for target, person in drawn[:count]:
                longest = timedelta(minutes=20) if kind in ("soft", "hard") else self.patience
                leaving.append((self._later(longest), kind, target, person))
            drawn = drawn[count:]
        bounces: list[Bounce] = []
        unsubscribes: list[Unsubscribe] = []
        complaints: list[SpamComplaint] = []
        for at, kind, target, person in sorted(leaving, key=lambda one: one[0]):
            when, email, list_id = moment(at, target.client.zone), person.email, target.list_id
            if person.state != "Active":
                continue
            if kind == "soft":
                reason = self.chance.choice(catalogue.SOFT_REASONS)
                bounces.append(Bounce(email, list_id, "Soft", when.minute, reason))
                continue
            self._go(kind, target, person, when)
            if kind == "hard":
                bounces.append(Bounce(email, list_id, "Hard", when.minute, catalogue.HARD_REASON))
            elif kind == "spam":
                complaints.append(SpamComplaint(email, list_id, when.minute))
            else:
                unsubscribes.append(Unsubscribe(email, list_id, when.minute, ip_of(email)))
        return bounces, unsubscribes, complaints, {bounced.EmailAddress for bounced in bounces}

    def _go(self, kind: str, target: SubscriberList, person: Subscriber, when: Moment) -> None:
        if kind == "hard":
            changes.bounce(self.account, target, person, when, "human")
        else:
            changes.opt_out(self.account, target, person, kind, when, "human")

    def _later(self, longest: timedelta) -> datetime:
        """A time after sending, sooner likelier than later, before now."""
        longest = min(longest, self.now - self.campaign.sent)
        return self.campaign.sent + longest * self.chance.random() ** 3

    def _opens(self, alive: list[tuple[str, str]], count: int) -> list[Open]:
        if not alive:
            return []
        chance, text = self.chance, minute_texts(self.campaign.client.zone)
        first, last = _minutes(self.campaign.sent), _minutes(self.now)
        span = min(LONGEST_READING // timedelta(minutes=1), last - first)
        opens = []
        for _ in range(count):
            email, list_id = alive[readers.skewed(chance, len(alive))]
            at = first + int(span * chance.random() ** 4)
            opens.append(readers.opening(chance, email, list_id, text(at)))
        return opens

    def _clicks(self, opens: list[Open], count: int) -> list[Click]:
        """Clicks in the minute of an opening; one in eight has an identical twin."""
        chance, links = self.chance, self.campaign.links
        clicks: list[Click] = []
        while opens and len(clicks) < count:
            opened = chance.choice(opens)
            url = links[readers.skewed(chance, len(links))]
            click = readers.clicking(opened.EmailAddress, opened.ListID, opened.Date, url)
            clicks += [click, click] if chance.random() < 0.125 else [click]
        return clicks[:count]


def minute_texts(zone: ZoneInfo) -> Callable[[int], str]:
    """A function from minutes since the epoch to the API's text in a zone, which remembers answers."""
    known: dict[int, str] = {}

    def text(minutes: int) -> str:
        if minutes not in known:
            known[minutes] = moment(datetime.fromtimestamp(minutes * 60, UTC), zone).minute
        return known[minutes]

    return text


def _minutes(at: datetime) -> int:
    return int(at.timestamp()) // 60
