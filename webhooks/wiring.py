"""What the views work with: one `Web` per application, and the bells that ask the workers to look."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from listbridge.context import Context
from webhooks.receiving import Receivers

logger = logging.getLogger(__name__)

EXTENSION = "listbridge"


@dataclass(frozen=True)
class Bells:
    """How workers are asked to look for work: `deliver` takes a list's id, `pull` an import's, `plan` an
    export's."""

    fold: Callable[[], object]
    deliver: Callable[[str], object]
    pull: Callable[[str], object]
    plan: Callable[[str], object]


@dataclass(frozen=True)
class Web:
    """Built once per application."""

    context: Context
    bells: Bells
    receivers: Receivers

    def install(self, app: Flask) -> None:
        app.extensions[EXTENSION] = self


def web() -> Web:
    """What the current application works with."""
    return cast(Web, current_app.extensions[EXTENSION])


def ring(bell: Callable[..., object], *args: str) -> None:
    """Ring a bell. What it is rung for is stored already, so a failure is logged and the sweep finds it."""
    try:
        bell(*args)
    except Exception as error:
        logger.warning("a worker could not be asked (%s); the sweep finds the work", type(error).__name__)
