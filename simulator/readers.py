"""Who reads: the place and address that a person's opens and clicks come from."""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import NamedTuple
from zlib import crc32

from simulator.catalogue import PLACES, PROXY, Place
from simulator.people import ip_of
from simulator.reports import Click, Open


class Reader(NamedTuple):
    """A person's own place and address, and whether their mail program loads images by a proxy."""

    ip: str
    place: Place
    proxied: bool


@lru_cache(maxsize=200_000)
def reader(email: str) -> Reader:
    """The same reader for the same address, always; two in five read through a proxy."""
    number = crc32(b"reader:" + email.lower().encode())
    # Most readers live near the client: the first places are the likeliest.
    place = PLACES[min(number % 29, number // 29 % len(PLACES))]
    return Reader(ip_of(email), place, number % 5 < 2)


def opening(chance: Random, email: str, list_id: str, date: str) -> Open:
    """An opening by this person, through the proxy if they use one."""
    who = reader(email)
    if who.proxied:
        return Open(email, list_id, date, f"66.249.84.{chance.randrange(1, 255)}", *PROXY)
    return Open(email, list_id, date, who.ip, *who.place)


def clicking(email: str, list_id: str, date: str, url: str) -> Click:
    """A click by this person: from their own address, whatever loads their images."""
    who = reader(email)
    return Click(email, url, list_id, date, who.ip, *who.place)


def skewed(chance: Random, people: int) -> int:
    """An index below `people`: few at the front come again and again, most at the back hardly ever."""
    return int(people * chance.random() ** 2.5)
