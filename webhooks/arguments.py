"""Loading what people write by marshmallow schemas, with the path of each fault."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NoReturn

import msgspec
from flask import Request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser

from listbridge.audiences import Fault
from webhooks.bodies import UNREADABLE, read_body, require_json
from webhooks.errors import Refusal

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Parser(FlaskParser):
    """Loads a body or a query by its schema. Raises `Refusal`: 400, 415 or 422.

    A parameter that the schema doesn't name is refused: it is a misspelt one, whose wish would be lost.
    """

    DEFAULT_UNKNOWN_BY_LOCATION: ClassVar[dict[str, str | None]] = {
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": RAISE,
    }

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 - the library's signature
        require_json()
        return _json()

    def handle_error(
        self,
        error: ValidationError,
        req: Request,  # noqa: ARG002 - the library's signature
        schema: Schema,  # noqa: ARG002
        *,
        error_status_code: int | None,  # noqa: ARG002
        error_headers: Mapping[str, str] | None,  # noqa: ARG002
    ) -> NoReturn:
        messages = error.messages_dict
        if "json" not in messages:
            raise Refusal(422, "a parameter is wrong", query_faults(messages["query"]))
        found = faults_of(messages["json"], _json())
        raise Refusal(422, "the body is not as it should be", found)


class Blueprint(SmorestBlueprint):
    """A blueprint whose views load their arguments with `Parser`."""

    ARGUMENTS_PARSER = Parser()


def optional_body(schema: Schema) -> Any:
    """A body that may be left out. Raises `Refusal` as the parser does."""
    if not read_body():
        return schema.load({})
    require_json()
    data = _json()
    try:
        return schema.load(data)
    except ValidationError as error:
        found = faults_of(error.normalized_messages(), data)
        raise Refusal(422, "the body is not as it should be", found) from None


def _json() -> Any:
    try:
        return msgspec.json.decode(read_body())
    except UNREADABLE as error:
        raise Refusal(400, "the body is not JSON", [Fault("$", str(error))]) from None


def query_faults(messages: Mapping[str, list[str]]) -> list[Fault]:
    """marshmallow's messages about a query, each with the parameter as `?name`."""
    return [Fault(f"?{name}", message) for name, listed in messages.items() for message in listed]


def faults_of(messages: Any, data: Any, path: str = "$") -> list[Fault]:
    """marshmallow's nested messages about `data` as faults with JSON paths."""
    return [Fault(place, message) for place, message in _walk(messages, data, path)]


def _walk(messages: Any, data: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, str):
        yield path, messages
    elif isinstance(messages, list):
        for each in messages:
            yield from _walk(each, data, path)
    else:
        for name, inner in messages.items():
            # Below a map's key marshmallow adds "key" or "value", which the data doesn't have.
            inside = isinstance(data, dict | list) and name != "_schema"
            yield from _walk(inner, _at(data, name), path + _step(name) if inside else path)


def _step(name: str | int) -> str:
    if isinstance(name, int):
        return f"[{name}]"
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{name!r}]"


def _at(data: Any, name: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(name)
    return data[name] if isinstance(data, list) and isinstance(name, int) and name < len(data) else None
