"""The API's paths, one module and blueprint per resource."""

from flask import Blueprint

from simulator.routes import campaigns, clients, fields, journeys, lists, segments, subscribers, webhooks

PREFIX = "/api/<any('v3.3', 'v3.2'):version>"
_MODULES = (clients, lists, fields, webhooks, segments, subscribers, campaigns, journeys)


def blueprints() -> list[Blueprint]:
    """Blueprints with every path, below `/api/v3.3` and `/api/v3.2`."""
    made = []
    for module in _MODULES:
        blueprint = Blueprint(module.__name__.rpartition(".")[2], __name__, url_prefix=PREFIX)
        module.register(blueprint)
        made.append(blueprint)
    return made
