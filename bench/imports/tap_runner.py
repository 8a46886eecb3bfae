"""Runs `tap-campaign-monitor` against another service; started with the Python of the tap's environment.

`tap_runner.py URL [the tap's own arguments]`. The tap's addresses are constants in its code, so its calls
are sent to the same paths of the service at URL.
"""

import sys

from tap_campaign_monitor import client, main

THERE = "https://api.createsend.com"


def aimed(url: str) -> None:
    send = client.requests.request

    def request(method: str, asked: str, **more: object) -> object:
        return send(method, asked.replace(THERE, url, 1), **more)

    client.requests.request = request


if __name__ == "__main__":
    aimed(sys.argv.pop(1))
    main()
