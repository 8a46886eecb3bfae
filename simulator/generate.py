"""A realistic account from a seed: lists, people, and what half a year of campaigns left behind."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from random import Random

from simulator import catalogue, changes, values
from simulator.account import Account, Client, CustomField, Segment, Subscriber, SubscriberList
from simulator.clock import Clock, Moment, moment
from simulator.journeys import start_journeys
from simulator.sending import send_campaigns
from simulator.switches import Switches

HISTORY = timedelta(days=180)
_INTERESTS = ("Interests", "MultiSelectMany", catalogue.INTERESTS)
_FIELDS: tuple[tuple[tuple[str, str, tuple[str, ...]], ...], ...] = (
    (
        _INTERESTS,
        ("Membership tier", "MultiSelectOne", catalogue.TIERS),
        ("Date of birth", "Date", ()),
        ("Trips", "Number", ()),
        ("Home airport", "Text", ()),
    ),
    (_INTERESTS, ("Country", "Country", tuple(catalogue.COUNTRIES))),
    (),
)
_INITIAL_STATES = (("Unconfirmed", 0.04), ("Unsubscribed", 0.03), ("Deleted", 0.02), ("Bounced", 0.02))


def generate(
    lists: int = 3,
    people: int = 3000,
    campaigns: int = 12,
    activity_rows: int = 40_000,
    seed: int = 1,
    scale: float = 1,
    *,
    journeys: int = 0,
    api_key: str = "",
    clock: Clock | None = None,
    switches: Switches | None = None,
) -> Account:
    """Make an account with one client. `scale` multiplies people and report rows.

    The same arguments and the same time of `clock` give the same account. The reports together hold
    about `activity_rows * scale` rows; campaigns reach back 180 days. Every third list has the
    AllClientLists unsubscribe setting, the others OnlyThisList. Journeys have two automated e-mails each.
    """
    account = Account(api_key, seed, clock or Clock(), switches or Switches())
    account.api_key = api_key or account.new_id()
    chance = Random(seed)
    client = account.add_client("Meridian Travel")
    made = [_make_list(account, client, number) for number in range(lists)]
    start = account.clock.now().replace(second=0, microsecond=0) - HISTORY
    ranks = _sign_up(account, made, round(people * scale), start, chance) if made else {}
    if made and campaigns:
        send_campaigns(account, client, campaigns, round(activity_rows * scale), start, ranks, chance)
    if made and journeys:
        start_journeys(account, client, journeys, start, Random(f"journeys:{seed}"))
    return account


def _make_list(account: Account, client: Client, number: int) -> SubscriberList:
    titles = catalogue.LISTS
    again = f" {number // len(titles) + 1}" if number >= len(titles) else ""
    made = account.add_list(client, titles[number % len(titles)] + again)
    made.unsubscribe_setting = "AllClientLists" if number % 3 == 2 else "OnlyThisList"
    made.fields = [
        CustomField(name, values.derive_key(name), data_type, list(options))
        for name, data_type, options in _FIELDS[number % len(_FIELDS)]
    ]
    _add_segment(account, made, "Organisations", "EmailAddress", "CONTAINS example.org")
    if made.fields:
        _add_segment(account, made, "Beach people", "[Interests]", "EQUALS Beaches")
    return made


def _add_segment(account: Account, target: SubscriberList, title: str, rule_type: str, clause: str) -> None:
    groups = [{"Rules": [{"RuleType": rule_type, "Clause": clause}]}]
    segment = Segment(account.new_id(), target, title, groups)
    target.segments[segment.segment_id] = segment


def _sign_up(
    account: Account, lists: list[SubscriberList], people: int, start: datetime, chance: Random
) -> dict[str, int]:
    """Fill the lists; returns address -> rank, 0 for the keenest reader.

    One in seven joined after `start` and is still Active; some of the others had left by then.
    """
    ranks = list(range(people))
    chance.shuffle(ranks)
    addresses: dict[str, int] = {}
    weights = [1 / (position + 1) for position in range(len(lists))]
    for number in range(people):
        name, email = _person(number, chance)
        addresses[email] = ranks[number]
        late = chance.random() < 1 / 7
        span = HISTORY if late else timedelta(days=900)
        first = start if late else start - span - timedelta(days=31)
        chosen = {chance.choices(range(len(lists)), weights)[0]}
        chosen |= {other for other in range(len(lists)) if chance.random() < 0.15}
        joined = {}
        for position in sorted(chosen):
            at = first + span * chance.random()
            joined[position] = _join(lists[position], email, name, at, chance)
        if not late:
            _leave_early(account, lists, joined, start, chance)
    _suppress_strangers(account, lists[0].client, people, start, chance)
    return addresses


def _person(number: int, chance: Random) -> tuple[str, str]:
    first, last = chance.choice(catalogue.FIRST_NAMES), chance.choice(catalogue.LAST_NAMES)
    plain = unicodedata.normalize("NFKD", f"{first}.{last}").encode("ascii", "ignore").decode().lower()
    local = "".join(letter for letter in plain if letter.isalnum() or letter == ".").strip(".") or "reader"
    tag = "+travel" if chance.random() < 0.05 else ""
    email = f"{local}.{number}{tag}@{chance.choice(catalogue.DOMAINS)}"
    if chance.random() < 0.03:
        email = email[0].upper() + email[1:]
    return (f"{first} {last}" if chance.random() < 0.92 else ""), email


def _join(target: SubscriberList, email: str, name: str, at: datetime, chance: Random) -> Subscriber:
    person = changes.join(target, email, name, moment(at, target.client.zone))
    person.state = "Active"
    target.client.consent[email.lower()] = chance.choices(("Yes", "No", ""), (8, 1, 1))[0]
    if target.fields and chance.random() < 0.6:
        for field in target.fields:
            chosen = _value(field, chance)
            if chosen:
                person.values[field.key] = chosen
    return person


def _value(field: CustomField, chance: Random) -> list[str]:
    if chance.random() < 0.2:
        return []
    if field.data_type == "MultiSelectMany":
        chosen = set(chance.sample(field.options, chance.randint(1, 3)))
        return [option for option in field.options if option in chosen]
    if field.options:
        return [chance.choice(field.options)]
    if field.data_type == "Date":
        return [f"{chance.randint(1950, 2004)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"]
    if field.data_type == "Number":
        return [str(chance.randint(0, 30))]
    return [chance.choice(("SYD", "MEL", "BNE", "LHR", "DUB", "GRU"))]


def _leave_early(
    account: Account,
    lists: list[SubscriberList],
    joined: dict[int, Subscriber],
    start: datetime,
    chance: Random,
) -> None:
    for position, person in joined.items():
        drawn = chance.random()
        at = moment(
            start - timedelta(minutes=chance.randrange(60, 30 * 24 * 60)), lists[position].client.zone
        )
        if person.state != "Active":
            continue
        for state, share in _INITIAL_STATES:
            drawn -= share
            if drawn < 0:
                _leave(account, lists[position], person, state, at)
                break


def _leave(account: Account, target: SubscriberList, person: Subscriber, state: str, at: Moment) -> None:
    if state == "Bounced":
        changes.bounce(account, target, person, at, "human")
    elif state == "Unconfirmed":
        person.state, person.date = state, person.joined
    else:
        changes.opt_out(account, target, person, state.lower(), at, "human")


def _suppress_strangers(
    account: Account, client: Client, people: int, start: datetime, chance: Random
) -> None:
    """Suppress some addresses that are in no list."""
    for number in range(max(people // 200, 2)):
        at = moment(start - timedelta(seconds=chance.randrange(86_400 * 300)), client.zone)
        reason = chance.choice(("Unsubscribed", "Bounced", "Reason Unavailable"))
        changes.suppress(account, client, f"never.listed.{number}@example.net", reason, at)
