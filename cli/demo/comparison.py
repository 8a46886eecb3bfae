"""Comparing what is there with what the reckoning expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.demo.reckoning import Expected

SHOWN = 5


@dataclass
class Differences:
    """How many people differ, in which fields, with a few examples (keys and fields, no values)."""

    people: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """Key -> what differs, for everybody."""

    def add(self, key: str, names: list[str], detail: str = "") -> None:
        self.people += 1
        self.wrong.setdefault(key, []).extend(names)
        self.fields.update(names)
        if len(self.examples) < SHOWN:
            self.examples.append(f"{key}: {', '.join(names)} {detail}".rstrip())


def compare_profiles(
    expected: Mapping[str, Expected], audiences: Mapping[str, set[str]], held: Mapping[str, Mapping[str, Any]]
) -> Differences:
    """`held` are the profiles as users see them, by key."""
    found = Differences()
    for key in expected.keys() | held.keys():
        if key not in held or key not in expected:
            found.add(key, ["missing" if key not in held else "unexpected"])
            continue
        wrong = _wrong_fields(expected[key], held[key]["fields"])
        if set(held[key]["audiences"]) != audiences.get(key, set()):
            wrong.append("audiences")
        updated_at = round(datetime.fromisoformat(held[key]["updated_at"]).timestamp() * 1000)
        if updated_at not in {expected[key].updated_at, *expected[key].later}:
            wrong.append("updated_at")
        if wrong:
            has, wants = held[key]["fields"].get(wrong[0]), expected[key].fields.get(wrong[0])
            if wrong[0] == "updated_at":
                has, wants = held[key]["updated_at"], expected[key].updated_at
            found.add(key, wrong, f"has {has!r}, should have {wants!r}")
    return found


def _wrong_fields(expected: Expected, held: Mapping[str, Any]) -> list[str]:
    wrong = [name for name, value in expected.fields.items() if held.get(name) != value]
    wrong += [name for name, values in expected.acceptable.items() if held.get(name) not in values]
    wrong += sorted(held.keys() - expected.fields.keys() - expected.acceptable.keys())
    return wrong


@dataclass(frozen=True)
class Feed:
    """What an export promises: whoever is in `audiences` is shown in the list's field."""

    list_id: str
    audiences: tuple[str, ...]


def compare_lists(
    records: Mapping[str, Any], feeds: Iterable[Feed], audiences: Mapping[str, set[str]], field_name: str
) -> Differences:
    """Every active person's options, and everybody who should be in a list but is not."""
    found = Differences()
    promised: dict[str, set[str]] = {}
    for feed in feeds:
        promised.setdefault(feed.list_id, set()).update(feed.audiences)
    suppressed = {entry["email"].lower() for client in records["clients"] for entry in client["suppressed"]}
    for each in records["lists"]:
        ours = promised.get(each["list_id"])
        if ours is None:
            continue
        key_of = {one["name"]: one["key"] for one in each["fields"]}.get(field_name, "")
        people = {person["email"].lower(): person for person in each["subscribers"]}
        for key, person in people.items():
            has, wants = set(person["values"].get(key_of, [])), audiences.get(key, set()) & ours
            if person["state"] == "Active" and has != wants and key not in suppressed:
                found.add(key, [each["name"]], f"has {sorted(has)}, should have {sorted(wants)}")
        for key, inside in audiences.items():
            if inside & ours and key not in people and key not in suppressed:
                found.add(key, [each["name"]], "is not in the list")
    return found
