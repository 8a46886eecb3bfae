"""`python -m simulator`: serve a generated account until SIGTERM or SIGINT.

Prints one JSON line, {"url": ..., "api_url": ..., "api_key": ...}, once it is ready.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

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
    parser = argparse.ArgumentParser(prog="simulator", description="A Campaign Monitor that runs here.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="keep it on loopback: the control API has no lock"
    )
    parser.add_argument(
        "--port", type=int, default=0, choices=range(65536), metavar="PORT", help="0 takes any free one"
    )
    parser.add_argument("--api-key", default="", help="default: derived from the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lists", type=int, default=3)
    parser.add_argument("--people", type=int, default=3000)
    parser.add_argument("--campaigns", type=int, default=12)
    parser.add_argument("--journeys", type=int, default=0)
    parser.add_argument("--activity-rows", type=int, default=40_000)
    parser.add_argument("--scale", type=float, default=1, help="multiplies people and activity rows")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
