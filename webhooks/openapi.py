"""What the OpenAPI document is made of.

What people write is described by the marshmallow schemas that validate it; bodies that carry events
by the JSON Schema of the msgspec Structs that decode them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, Response
from flask_smorest import Api as SmorestApi
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException

from listbridge import __version__
from listbridge.audiences import AudienceEvents
from listbridge.campaign_monitor.incoming import Told
from listbridge.workflows.schemas import ExportConfigSchema, ImportConfigSchema
from webhooks.converters import Rest, rest_parameter
from webhooks.errors import http_exception
from webhooks.workflow_schemas import ResumeSchema

OPEN: list[dict[str, list[str]]] = []
"""The security of what needs no bearer token."""

_REF = "#/components/schemas/{name}"


class FaultSchema(Schema):
    path = fields.String(
        required=True, metadata={"description": "A JSON path into the body, or `?name` of the query."}
    )
    message = fields.String(required=True)


class ProblemSchema(Schema):
    status = fields.Integer(required=True, metadata={"description": "The HTTP status."})
    message = fields.String(required=True)
    faults = fields.List(fields.Nested(FaultSchema))


class ErrorSchema(Schema):
    error = fields.Nested(ProblemSchema, required=True)


class CountsSchema(Schema):
    """What happened to the events of a body."""

    accepted = fields.Integer(required=True)
    duplicates = fields.Integer(required=True, metadata={"description": "Events that were stored before."})
    quarantined = fields.Integer(
        required=True, metadata={"description": "Events set aside, because nobody can be made out of them."}
    )
    erased = fields.Integer(
        metadata={"description": "Events dropped because they happened before the person was erased."}
    )


class Api(SmorestApi):
    """flask-smorest with our errors."""

    ERROR_SCHEMA = ErrorSchema

    def handle_http_exception(self, error: HTTPException) -> Response:
        return http_exception(error)


def make_api(app: Flask) -> Api:
    """The document of `app`, to which blueprints are then registered."""
    app.config.update(
        API_TITLE="Listbridge",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={"security": [{"token": []}]},
    )
    api = Api(app)
    api.register_converter(Rest, rest_parameter)
    components = api.spec.components
    components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    components.schema("ExportConfig", schema=ExportConfigSchema)
    components.schema("ImportConfig", schema=ImportConfigSchema)
    components.schema("Counts", schema=CountsSchema)
    components.schema("Resume", schema=ResumeSchema)
    for name, schema in event_schemas().items():
        components.schema(name, schema)
    return api


def event_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of bodies that carry events, by name."""
    _, schemas = msgspec.json.schema_components((AudienceEvents, Told), ref_template=_REF)
    schemas["Delivery"] = {
        "title": "Delivery",
        "description": "What Campaign Monitor posts to a webhook: up to 1000 events of one list.",
        "type": "object",
        "properties": {
            "ListID": {"type": "string"},
            "Events": {"type": "array", "items": {"$ref": _REF.format(name="Told")}},
        },
        "required": ["ListID", "Events"],
    }
    return schemas


def ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def events_doc(body: str, status: int, **doc: Any) -> dict[str, Any]:
    """The description of a view that takes events: its body, its answer, its errors."""
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref(body)}}},
        "responses": {
            str(status): {
                "description": "The events are stored",
                "content": {"application/json": {"schema": ref("Counts")}},
            },
            "default": "DEFAULT_ERROR",
        },
        **doc,
    }
