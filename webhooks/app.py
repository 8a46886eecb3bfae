"""The Flask application: `python -m webhooks.serve`.

`app` is built when it is first asked for, from the settings of the process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

from flask import Flask

import settings as settings_module
from listbridge.context import Context, build, unapplied
from listbridge.logs import write_log
from listbridge.store.location import store_url
from webhooks import (
    audiences,
    authorizations,
    care,
    connecting,
    document,
    drift,
    errors,
    health,
    heartbeat,
    mapping,
    metrics,
    people,
    plans,
    profiles,
    receivers,
    rejections,
    workflows,
)
from webhooks.auth import bearer_lock
from webhooks.bodies import werkzeug_limit
from webhooks.converters import Rest
from webhooks.openapi import make_api
from webhooks.receiving import Receivers
from webhooks.ringing import celery_bells
from webhooks.wiring import EXTENSION, Bells, Web

logger = logging.getLogger(__name__)

BLUEPRINTS = (
    health.blueprint,
    receivers.blueprint,
    audiences.blueprint,
    profiles.blueprint,
    mapping.blueprint,
    connecting.blueprint,
    authorizations.blueprint,
    workflows.blueprint,
    care.blueprint,
    people.blueprint,
    rejections.blueprint,
    plans.blueprint,
    drift.blueprint,
    metrics.blueprint,
    document.blueprint,
)

STORE_SECONDS = 2.0
"""How long a request waits for the store, and once more, before it answers 503."""


def create_app(
    context: Context | None = None,
    ring: Callable[[], object] | None = None,
    *,
    ring_deliver: Callable[[str], object] | None = None,
    ring_pull: Callable[[str], object] | None = None,
    ring_plan: Callable[[str], object] | None = None,
) -> Flask:
    """The application on a context, by default that of the process's settings.

    `ring` asks for a fold, `ring_deliver` for a delivery to a list, `ring_pull` for a run of an
    import, `ring_plan` for the plan of an export; by default each sends the Celery task. Raises
    `SettingsError`, `StoreError` and `redis.RedisError` when there is no context to build.
    """
    context = context or _context()
    celery = celery_bells()
    bells = Bells(
        ring or celery.fold,
        ring_deliver or celery.deliver,
        ring_pull or celery.pull,
        ring_plan or celery.plan,
    )
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = werkzeug_limit(context.settings.max_body_bytes)
    app.url_map.merge_slashes = False
    app.url_map.converters["rest"] = Rest
    Web(context, bells, Receivers(context.store)).install(app)
    app.before_request(bearer_lock(context.settings.api_tokens, context.settings.metrics_tokens))
    api = make_api(app)
    errors.register(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    return app


def _context() -> Context:
    settings = settings_module.current()
    context = build(settings, store_url(settings), timeout_seconds=STORE_SECONDS, retries=1)
    if difference := unapplied(settings, context.store):
        logger.warning("%s", difference)
    return context


@lru_cache(maxsize=1)
def _app() -> Flask:
    write_log(settings_module.current().log_level)
    app = create_app()
    heartbeat.start(app.extensions[EXTENSION].context.store)
    return app


def __getattr__(name: str) -> Flask:
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
