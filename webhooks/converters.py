"""The rest of a path as one value: addresses and audience names may hold slashes."""

from __future__ import annotations

from werkzeug.routing import BaseConverter


class Rest(BaseConverter):
    """Everything that follows, slashes included, percent-decoded."""

    regex = ".+"
    part_isolating = False
    weight = 200


def rest_parameter(_: Rest) -> dict[str, str]:
    """The parameter's schema in the OpenAPI document."""
    return {"type": "string"}
