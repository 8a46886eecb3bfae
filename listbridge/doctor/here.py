"""What is on our side: the store, the settings and the address at which webhooks arrive."""

from __future__ import annotations

import time

import requests

from listbridge.context import Context, unapplied
from listbridge.doctor.findings import Examination, Finding, Verdict, failed, fine, warning
from listbridge.store.store import SCHEMA_VERSION
from settings import Settings

SLOW_SECONDS = 0.5
TIMEOUT_SECONDS = 5.0
OUTSIDE = "Others may reach it all the same: the webhook test tells."


def examine_here(exam: Examination, context: Context) -> Finding:
    """The store, the settings, the mappings; -> the store's finding, which everything needs."""
    store = exam.step("store", "", lambda: _store(context))
    exam.step("settings", "", lambda: _settings(context.settings))
    exam.step("mappings", "", lambda: _mappings(context), needs=[store])
    return store


def _store(context: Context) -> Verdict:
    began = time.monotonic()
    context.store.ping()
    took = time.monotonic() - began
    found = f"answers in {took * 1000:.1f} ms, schema {SCHEMA_VERSION}, {context.store.partitions} partitions"
    if took > SLOW_SECONDS:
        return warning(found, "Look at the server's load and the network: every event waits for it.")
    return fine(found)


def _settings(settings: Settings) -> Verdict:
    missing = [
        *([] if settings.encryption_keys else ["LISTBRIDGE_ENCRYPTION_KEYS: API keys can't be kept"]),
        *([] if settings.api_tokens else ["LISTBRIDGE_API_TOKENS: nobody can use the HTTP API"]),
        *([] if settings.public_url else ["LISTBRIDGE_PUBLIC_URL: imports can't have webhooks"]),
    ]
    if not settings.encryption_keys:
        return failed(f"not set: {'; '.join(missing)}", "`listbridge init` makes what is missing.")
    if missing:
        return warning(f"not set: {'; '.join(missing)}", "Set it where you need it, see docs/settings.md.")
    return fine(f"complete; webhooks arrive at {settings.public_url}")


def _mappings(context: Context) -> Verdict:
    said = unapplied(context.settings, context.store)
    return warning(said, "`listbridge mapping apply`") if said else fine("the configured ones are active")


def examine_public_url(exam: Examination, public_url: str) -> Finding:
    """Can the address be reached from here? Only Campaign Monitor's own test tells whether it can."""
    return exam.step("public URL", public_url, lambda: reached(f"{public_url}/healthz"))


def reached(url: str) -> Verdict:
    """Does a GET of our own address answer 200?"""
    remedy = "Start `listbridge up` (or the web process), and look where the address leads."
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as problem:
        return warning(f"no answer from here ({type(problem).__name__})", f"{remedy} {OUTSIDE}")
    if answer.status_code != 200:
        return failed(f"answers {answer.status_code} from here", remedy)
    return fine("answers from here")
