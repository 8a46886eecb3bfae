"""The web server: `python -m webhooks.serve --host 127.0.0.1 --port 8080`."""

from __future__ import annotations

import signal
from typing import Any, Final

import click
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

APPLICATION: Final = "webhooks.app:app"
BLOCKING_THREADS: Final = 4
HEADERS_BYTES: Final = 65_536


class Server(Granian):  # type: ignore[misc, valid-type] # one of two classes, as the interpreter is
    """Granian, which ends however often it is asked to.

    Its handler of SIGTERM sets an event; another signal meanwhile would wait for the event's lock, in the
    thread that holds it, for ever. A supervisor that is killed sends one for each of its threads, and a
    terminal that is closed sends SIGHUP.
    """

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _already_asked)
        super().signal_handler_interrupt(*args, **kwargs)


def _already_asked(_number: int, _frame: object) -> None:
    """It is ending."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8080, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--header-seconds",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="So long a request's headers may take.",
)
@click.option("--respawn", is_flag=True, help="Start a worker that ended again.")
@click.argument("application", default=APPLICATION)
def main(host: str, port: int, workers: int, header_seconds: float, respawn: bool, application: str) -> None:
    """Serve the webhooks and the API, until SIGTERM or Ctrl-C."""
    Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=BLOCKING_THREADS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(1000 * header_seconds), max_buffer_size=HEADERS_BYTES
        ),
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=respawn,
    ).serve()


if __name__ == "__main__":
    main()
