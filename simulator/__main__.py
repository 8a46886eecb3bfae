"""`python -m simulator`: serve a generated account until SIGTERM or SIGINT.

Prints one JSON line, {"url": ..., "api_url": ..., "api_key": ...}, once it is ready.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import threading
from collections.abc import Callable

from simulator.server import SimulatorServer


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    plan = {name: value for name, value in vars(options).items() if name not in ("host", "port")}
    with SimulatorServer(host=options.host, port=options.port, **plan) as server:
        ready = {"url": server.url, "api_url": server.api_url, "api_key": server.api_key}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    count = _whole("a number, 0 or more")
    parser = argparse.ArgumentParser(prog="simulator", description="A Campaign Monitor that runs here.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="keep it on loopback: the control API has no lock"
    )
    parser.add_argument(
        "--port", type=_whole("a port, 0 to 65535", 65535), default=0, help="0 takes any free one"
    )
    parser.add_argument("--api-key", default="", help="default: derived from the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lists", type=count, default=3)
    parser.add_argument("--people", type=count, default=3000)
    parser.add_argument("--campaigns", type=count, default=12)
    parser.add_argument("--journeys", type=count, default=0)
    parser.add_argument("--activity-rows", type=count, default=40_000)
    parser.add_argument("--scale", type=_factor, default=1, help="multiplies people and activity rows")
    return parser


def _whole(what: str, most: float = math.inf) -> Callable[[str], int]:
    """Reads a whole number from 0 to `most`; `what` is said of any other text."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) > most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return int(text)

    return read


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 <= factor < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return factor


if __name__ == "__main__":
    raise SystemExit(main())
