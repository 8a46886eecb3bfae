"""No address is in a log above DEBUG, whatever an exception quotes."""

import io
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from listbridge.logs import FORMAT, TIMES, WithoutAddresses


@pytest.fixture
def log():
    """A logger and what it has written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(WithoutAddresses(FORMAT, TIMES))
    logger = logging.Logger("listbridge.test", logging.DEBUG)
    logger.addHandler(handler)
    return logger, written


def test_an_exception_that_quotes_an_address_is_logged_without_it(log):
    logger, written = log
    try:
        raise ValueError("conversion failed for 1 out of 1 values: ['ann@example.com']")
    except ValueError as error:
        logger.exception("partition %d can't be archived", 3)
        logger.error("Task %s raised unexpected: %r", "archive", error)
        logger.warning("the store: %s", "redis://:pa55word@store.example:6379/0 refused")
    text = written.getvalue()
    assert "ann@" not in text
    assert "pa55word" not in text
    assert text.count("<address>") >= 3
    assert "partition 3 can't be archived" in text
    assert "Traceback" in text
    assert "ValueError" in text


def test_what_celery_calls_its_workers_stays(log):
    logger, written = log
    host = socket.gethostname()
    logger.info("fold@%s ready.", host)
    logger.info("worker-2@%s ready.", host)
    logger.info("ann@%s is ready, fold@%s.example.com, too", host, host)
    assert f"fold@{host} ready." in written.getvalue()
    assert f"worker-2@{host} ready." in written.getvalue()
    assert "<address> is ready, <address>, too" in written.getvalue()


def test_at_debug_it_is_logged_whole(log):
    logger, written = log
    logger.debug("the row of %s", "ann@example.com")
    assert "ann@example.com" in written.getvalue()


WORKER = """
import workers.app
from celery.app.trace import build_tracer

@workers.app.app.task(name="boom")
def boom():
    raise ValueError("ann@example.com is no number")

workers.app._log_plainly()
build_tracer("boom", boom, app=workers.app.app)("1", (), {}, None)
"""
WEB = """
import logging
import webhooks.app

def stop():
    logging.getLogger("web").error("%s is no number", "ann@example.com")

webhooks.app.create_app = stop
try:
    webhooks.app._app()
except AttributeError:
    pass
"""


@pytest.mark.parametrize("program", [WORKER, WEB])
def test_each_kind_of_process_writes_its_log_so(program, tmp_path):
    (tmp_path / "empty.env").touch()
    environ = os.environ | {
        "LISTBRIDGE_ENV_FILE": str(tmp_path / "empty.env"),
        "LISTBRIDGE_REDIS_URL": "redis://127.0.0.1:1/0",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True
    )
    assert "<address> is no number" in done.stderr, done.stderr
    assert "ann@" not in done.stderr
