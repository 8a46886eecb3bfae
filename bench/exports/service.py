"""The simulator with a note of what every import brought: `python -m bench.exports.service`.

It serves three empty lists, and answers each line with what came since the last one.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from bench import service
from bench.service import API_KEY
from simulator import subscribing
from simulator.account import Account

Times = dict[str, float]


@dataclass
class Note:
    """Imports (seconds of the monotonic clock when applied, rows) and when each address was first held."""

    imports: list[tuple[float, int]]
    first: Times


class Simulated(service.Simulated):
    """A running simulator; leaving the block ends it."""

    def __init__(self) -> None:
        super().__init__("bench.exports.service")
        self.client_id: str = self.told["client_id"]
        self.lists: list[str] = self.told["lists"]

    def note(self) -> Note:
        """What came since the last note."""
        return msgspec.json.decode(self.ask(None), type=Note)


class _Watch:
    """Notes what imports bring, in the simulator's process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._import = subscribing.import_rows
        self._note = Note([], {})

    def import_rows(
        self, account: Account, target: Any, rows: list[dict[str, Any]], *rest: Any, **more: Any
    ) -> Any:
        result = self._import(account, target, rows, *rest, **more)
        now = time.monotonic()
        with self._lock:
            self._note.imports.append((now, len(rows)))
            for row in rows:
                self._note.first.setdefault(str(row["emailaddress"]).lower(), now)
        return result

    def take(self) -> Note:
        with self._lock:
            taken, self._note = self._note, Note([], {})
        return taken


def main() -> None:
    service.plan()
    watch = _Watch()
    subscribing.import_rows = watch.import_rows
    account = Account(API_KEY)
    client = account.add_client("Bench")
    lists = [account.add_list(client, f"List {number}").list_id for number in range(1, 4)]
    service.serve(account, {"client_id": client.client_id, "lists": lists}, watch.take)


if __name__ == "__main__":
    main()
