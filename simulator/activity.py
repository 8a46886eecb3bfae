"""New activity on request: people open and click what they were sent, and some leave."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from simulator import changes, readers
from simulator.account import Account, Campaign
from simulator.clock import moment
from simulator.people import ip_of
from simulator.reports import Unsubscribe

MINUTES = 5
CLICKS, UNSUBSCRIBES = 0.24, 0.01


def produce(account: Account, rows: int, seed: int = 1) -> dict[str, int]:
    """Add `rows` report rows of the last five minutes; returns report name -> rows added.

    Opens and clicks may be dated before rows that were there already, as late arrivals are. Whoever
    unsubscribes does it now, leaves the list and is told to its webhooks. Later campaigns get more.
    """
    chance = Random(f"activity:{seed}")
    campaigns = [
        campaign
        for client in account.clients.values()
        for campaign in client.campaigns.values()
        if campaign.audience
    ]
    campaigns.sort(key=lambda campaign: (campaign.sent, campaign.campaign_id), reverse=True)
    added = {"opens": 0, "clicks": 0, "unsubscribes": 0}
    while campaigns and sum(added.values()) < rows:
        campaign = campaigns[readers.skewed(chance, len(campaigns))]
        for name in _act(account, campaign, chance, rows - sum(added.values())):
            added[name] += 1
    return added


def _act(account: Account, campaign: Campaign, chance: Random, most: int) -> list[str]:
    """One reader's act, of at most `most` rows; returns the reports written."""
    email, list_id = campaign.audience[readers.skewed(chance, len(campaign.audience))]
    drawn = chance.random()
    if drawn < UNSUBSCRIBES and _leave(account, campaign, email, list_id):
        return ["unsubscribes"]
    ago = timedelta(minutes=chance.random() * MINUTES)
    at = max(account.clock.now() - ago, campaign.sent)
    date = moment(at, campaign.client.zone).minute
    if drawn > CLICKS:
        campaign.reports["opens"].add(readers.opening(chance, email, list_id, date))
        return ["opens"]
    url = campaign.links[readers.skewed(chance, len(campaign.links))]
    click = readers.clicking(email, list_id, date, url)
    twins = [click, click] if most > 1 and chance.random() < 0.125 else [click]
    for row in twins:
        campaign.reports["clicks"].add(row)
    return ["clicks"] * len(twins)


def _leave(account: Account, campaign: Campaign, email: str, list_id: str) -> bool:
    target = account.find_list(list_id)
    person = target.find(email)
    if person is None or person.state != "Active":
        return False
    at = account.moment(target.client)
    changes.opt_out(account, target, person, "unsubscribed", at, "human")
    campaign.reports["unsubscribes"].add(Unsubscribe(person.email, list_id, at.minute, ip_of(person.email)))
    return True
