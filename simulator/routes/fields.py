"""/lists/{id}/customfields."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from simulator import catalogue, segments, wire
from simulator.account import MULTI_OPTION, CustomField, SubscriberList
from simulator.errors import ApiError
from simulator.values import LONGEST_NAME, derive_key, fold_key

DATA_TYPES = ("Text", "Number", "MultiSelectOne", "MultiSelectMany", "Date", "Country", "USState")
_OWN_OPTIONS = {"Country": list(catalogue.COUNTRIES), "USState": list(catalogue.US_STATES)}


def register(api: Blueprint) -> None:
    """Hang this module's paths on the API."""
    api.get("/lists/<list_id>/customfields.json")(fields)
    api.post("/lists/<list_id>/customfields.json")(create)
    api.put("/lists/<list_id>/customfields/<path:key>/options.json")(options)
    api.put("/lists/<list_id>/customfields/<path:key>.json")(update)
    api.delete("/lists/<list_id>/customfields/<path:key>.json")(delete)


def fields(list_id: str) -> Response:
    return wire.reply(
        [
            {
                "FieldName": field.name,
                "Key": field.key,
                "DataType": field.data_type,
                "FieldOptions": field.options,
                "VisibleInPreferenceCenter": field.visible,
            }
            for field in wire.list_of(list_id).fields
        ]
    )


def create(list_id: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    name = _name(target, sent, None)
    wanted = wire.text(sent, "datatype").lower()
    data_type = next((known for known in DATA_TYPES if known.lower() == wanted), "")
    if not data_type:
        raise ApiError(259)
    chosen = _options(sent)
    if chosen and data_type not in MULTI_OPTION:
        raise ApiError(256)
    if not chosen and data_type in MULTI_OPTION:
        raise ApiError(257)
    visible = wire.flag(sent.get("visibleinpreferencecenter", True))
    field = CustomField(name, derive_key(name), data_type, chosen or _OWN_OPTIONS.get(data_type, []), visible)
    target.fields.append(field)
    return wire.created(field.key)


def _options(sent: dict[str, Any]) -> list[str]:
    given = [str(option) for option in sent.get("options") or []]
    return list(dict.fromkeys(given))


def _name(target: SubscriberList, sent: dict[str, Any], present: CustomField | None) -> str:
    name = wire.text(sent, "fieldname")
    if not name or len(name) > LONGEST_NAME:
        raise ApiError(254)
    taken = (fold_key(field.key) for field in target.fields if field is not present)
    if fold_key(derive_key(name)) in taken:
        raise ApiError(255)
    return name


def _field(target: SubscriberList, key: str) -> CustomField:
    if key.startswith("[") and key.endswith("]"):
        for field in target.fields:
            if field.key.lower() == key.lower():
                return field
    raise ApiError(253)


def update(list_id: str, key: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    field = _field(target, key)
    name = _name(target, sent, field)
    old_key, field.name, field.key = field.key, name, derive_key(name)
    if "visibleinpreferencecenter" in sent:
        field.visible = wire.flag(sent["visibleinpreferencecenter"])
    for person in target.subscribers.values():
        if old_key in person.values:
            person.values[field.key] = person.values.pop(old_key)
    segments.follow_rename(target, field, old_key)
    return wire.reply(field.key)


def options(list_id: str, key: str) -> Response:
    target, sent = wire.list_of(list_id), wire.body()
    field = _field(target, key)
    if field.data_type not in MULTI_OPTION:
        raise ApiError(256)
    chosen = _options(sent)
    if wire.flag(sent.get("keepexistingoptions")):
        field.options = list(dict.fromkeys([*field.options, *chosen]))
        return wire.done()
    if not chosen:
        raise ApiError(257)
    field.options = chosen
    for person in target.subscribers.values():
        kept = [value for value in person.values.pop(field.key, []) if value in chosen]
        if kept:
            person.values[field.key] = kept
    segments.drop_rules_on(target, field)
    return wire.done()


def delete(list_id: str, key: str) -> Response:
    target = wire.list_of(list_id)
    field = _field(target, key)
    segments.drop_rules_on(target, field)
    target.fields.remove(field)
    for person in target.subscribers.values():
        person.values.pop(field.key, None)
    return wire.done()
