"""Segment rules: groups are ANDed, rules within a group ORed; a clause is `VERB [operand]`.

The vendor's verb table is not public; this one holds the verbs that sources show and their plain
counterparts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from simulator import values
from simulator.account import CustomField, Segment, Subscriber, SubscriberList
from simulator.errors import ERRORS, ApiError

Predicate = Callable[[list[str], str], bool]

_PRESENCE: dict[str, Predicate] = {
    "PROVIDED": lambda held, _: bool(held),
    "NOT_PROVIDED": lambda held, _: not held,
}
_EQUALITY: dict[str, Predicate] = {
    "EQUALS": lambda held, operand: any(value.lower() == operand.lower() for value in held),
    "NOT_EQUALS": lambda held, operand: all(value.lower() != operand.lower() for value in held),
}
_TEXT: dict[str, Predicate] = {
    **_PRESENCE,
    **_EQUALITY,
    "CONTAINS": lambda held, operand: any(operand.lower() in value.lower() for value in held),
    "NOT_CONTAINS": lambda held, operand: all(operand.lower() not in value.lower() for value in held),
    "STARTS_WITH": lambda held, operand: any(value.lower().startswith(operand.lower()) for value in held),
    "ENDS_WITH": lambda held, operand: any(value.lower().endswith(operand.lower()) for value in held),
}
_NUMBER: dict[str, Predicate] = {
    **_PRESENCE,
    "EQUALS": lambda held, operand: any(float(value) == float(operand) for value in held),
    "NOT_EQUALS": lambda held, operand: all(float(value) != float(operand) for value in held),
    "GREATER_THAN": lambda held, operand: any(float(value) > float(operand) for value in held),
    "GREATER_THAN_OR_EQUAL": lambda held, operand: any(float(value) >= float(operand) for value in held),
    "LESS_THAN": lambda held, operand: any(float(value) < float(operand) for value in held),
    "LESS_THAN_OR_EQUAL": lambda held, operand: any(float(value) <= float(operand) for value in held),
    "BETWEEN": lambda held, operand: any(
        float(low) <= float(value) <= float(high) for low, high in [_bounds(operand)] for value in held
    ),
}
_DATE: dict[str, Predicate] = {
    **_PRESENCE,
    "EQUALS": lambda held, operand: any(value[:10] == operand for value in held),
    "BEFORE": lambda held, operand: any(value[:10] < operand for value in held),
    "AFTER": lambda held, operand: any(value[:10] > operand for value in held),
    "BETWEEN": lambda held, operand: any(
        low <= value[:10] <= high for low, high in [_bounds(operand)] for value in held
    ),
}
_OPTION: dict[str, Predicate] = {**_PRESENCE, **_EQUALITY}
_MANY: dict[str, dict[str, Predicate]] = {
    "has": _OPTION,
    "only": {
        **_OPTION,
        "EQUALS": lambda held, operand: [value.lower() for value in held] == [operand.lower()],
        "CONTAINS": _EQUALITY["EQUALS"],
    },
    "refused": {**_PRESENCE, "CONTAINS": _EQUALITY["EQUALS"]},
}

# Kind of rule -> its verbs, and the error code for another verb.
_KINDS: dict[str, tuple[dict[str, Predicate], int]] = {
    "Name": (_TEXT, 2712),
    "EmailAddress": (_TEXT, 2713),
    "DateSubscribed": (_DATE, 2714),
    "Text": (_TEXT, 2715),
    "Number": (_NUMBER, 2716),
    "MultiSelectOne": (_OPTION, 2717),
    "MultiSelectMany": (_OPTION, 2717),
    "Country": (_OPTION, 2717),
    "USState": (_OPTION, 2717),
    "Date": (_DATE, 2718),
}
_CAMPAIGN_RULES = ("CampaignOpened", "CampaignNotOpened", "CampaignClickedAny", "CampaignOpenedNoClick")
_ATTRIBUTES: dict[str, Callable[[Subscriber], str]] = {
    "Name": lambda person: person.name,
    "EmailAddress": lambda person: person.email,
    "DateSubscribed": lambda person: person.joined,
}


def _bounds(operand: str) -> tuple[str, str]:
    low, _, high = operand.strip("'").partition(" AND ")
    return low.strip(), high.strip()


def field_of(target: SubscriberList, rule_type: str) -> CustomField | None:
    """The custom field that a RuleType names, by key or by name."""
    if rule_type in _ATTRIBUTES or rule_type in _CAMPAIGN_RULES:
        return None
    wanted = values.fold_key(rule_type)
    return next((field for field in target.fields if values.fold_key(field.key) == wanted), None)


def _split(clause: str) -> tuple[str, str]:
    verb, _, operand = clause.strip().partition(" ")
    return verb.upper(), operand.strip()


def check_groups(target: SubscriberList, sent: Any) -> list[dict[str, Any]]:
    """RuleGroups (property names in lower case) as they are kept. Raises `ApiError` 277, whose
    ResultData has one result per rule, if any rule is wrong."""
    groups = [
        [(_text(rule.get("ruletype")), _text(rule.get("clause"))) for rule in group.get("rules") or ()]
        for group in sent or ()
    ]
    results = [_rule_result(target, *rule) for rules in groups for rule in rules]
    if any(result["Code"] for result in results):
        raise ApiError(277, results)
    return [
        {"Rules": [{"RuleType": rule_type, "Clause": clause} for rule_type, clause in rules]}
        for rules in groups
        if rules
    ]


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _rule_result(target: SubscriberList, rule_type: str, clause: str) -> dict[str, Any]:
    code, in_clause = _fault(target, rule_type, clause)
    clauses = [{"Clause": clause, **_outcome(code if in_clause else 0)}]
    return {"RuleType": rule_type, **_outcome(2703 if in_clause else code), "ClauseResults": clauses}


def _outcome(code: int) -> dict[str, Any]:
    return {"Code": code, "Message": ERRORS[code][1] if code else ""}


def _fault(target: SubscriberList, rule_type: str, clause: str) -> tuple[int, bool]:
    """The code of what is wrong (0 for nothing), and whether it is the clause's fault."""
    if not rule_type:
        return 2704, False
    if not clause:
        return 2706, False
    verb, operand = _split(clause)
    if rule_type in _CAMPAIGN_RULES:
        code = _campaign_fault(target, operand)
        return code, bool(code)
    kind, field = _kind(target, rule_type)
    if kind is None:
        return 2705, False
    code = _clause_fault(kind, _verbs(target, kind), field, verb, operand)
    return code, bool(code)


def _campaign_fault(target: SubscriberList, operand: str) -> int:
    campaign = target.client.campaigns.get(operand.lower())
    if campaign is None:
        return 2750
    owners = [*campaign.lists, *(segment.owner for segment in campaign.segments)]
    return 0 if any(owner is target for owner in owners) else 2751


def _kind(target: SubscriberList, rule_type: str) -> tuple[str | None, CustomField | None]:
    if rule_type in _ATTRIBUTES:
        return rule_type, None
    field = field_of(target, rule_type)
    return (field.data_type, field) if field else (None, None)


def _verbs(target: SubscriberList, kind: str) -> dict[str, Predicate]:
    return _MANY[target.switches.multi_select_equals] if kind == "MultiSelectMany" else _KINDS[kind][0]


def _clause_fault(
    kind: str, verbs: dict[str, Predicate], field: CustomField | None, verb: str, operand: str
) -> int:
    if verb not in verbs:
        return _KINDS[kind][1]
    if verb in _PRESENCE:
        return 0
    if not operand:
        return 2719
    if (verbs is _OPTION or kind == "MultiSelectMany") and field is not None:
        return 0 if operand.lower() in (option.lower() for option in field.options) else 2722
    between = verb == "BETWEEN"
    parts = _bounds(operand) if between else (operand,)
    if verbs is _DATE and not all(re.fullmatch(r"\d{4}-\d\d-\d\d", part) for part in parts):
        return 2755 if between else 2720
    if verbs is _NUMBER and not all(re.fullmatch(r"-?\d+(\.\d+)?", part) for part in parts):
        return 2756 if between else 2721
    return 0


def members(segment: Segment) -> list[Subscriber]:
    """The Active people of the segment's list that match every group, ascending by address."""
    tests = [[_test(segment.owner, rule) for rule in group["Rules"]] for group in segment.groups]
    return [
        person
        for person in segment.owner.in_order("Active", "email")
        if all(any(test(person) for test in group) for group in tests)
    ]


def _test(target: SubscriberList, rule: dict[str, str]) -> Callable[[Subscriber], bool]:
    verb, operand = _split(rule["Clause"])
    rule_type = rule["RuleType"]
    if rule_type in _CAMPAIGN_RULES:
        return _campaign_test(target, rule_type, operand)
    kind, field = _kind(target, rule_type)
    assert kind is not None, "rules on a field are dropped with the field"
    predicate = _verbs(target, kind).get(verb) or _KINDS[kind][0][verb]
    if field is not None:
        key = field.key
        return lambda person: predicate(person.values.get(key, []), operand)
    attribute = _ATTRIBUTES[rule_type]
    return lambda person: predicate([value] if (value := attribute(person)) else [], operand)


def _campaign_test(target: SubscriberList, rule_type: str, campaign_id: str) -> Callable[[Subscriber], bool]:
    reports = target.client.campaigns[campaign_id.lower()].reports
    received, opened, clicked = (reports[name].people() for name in ("recipients", "opens", "clicks"))
    chosen = {
        "CampaignOpened": opened,
        "CampaignNotOpened": received - opened,
        "CampaignClickedAny": clicked,
        "CampaignOpenedNoClick": opened - clicked,
    }[rule_type]
    return lambda person: person.email in chosen


def drop_rules_on(target: SubscriberList, field: CustomField) -> None:
    """Remove every rule on a field from the list's segments, and groups left empty."""
    for segment in target.segments.values():
        for group in segment.groups:
            group["Rules"] = [
                rule for rule in group["Rules"] if field_of(target, rule["RuleType"]) is not field
            ]
        segment.groups = [group for group in segment.groups if group["Rules"]]


def follow_rename(target: SubscriberList, field: CustomField, old_key: str) -> None:
    """Make the rules that named the old key name the field's present one."""
    for segment in target.segments.values():
        for group in segment.groups:
            for rule in group["Rules"]:
                if values.fold_key(rule["RuleType"]) == values.fold_key(old_key):
                    rule["RuleType"] = field.key
