"""A small TCP proxy on loopback that cuts, delays, trickles and swallows what goes through it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Literal

Mode = Literal["pass", "delay", "trickle"]
CHUNK = 65_536
TRICKLE = 512


class Proxy:
    """Forwards a port of its own to `target` (host, port) until it is closed."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.mode: Mode = "pass"
        self.seconds = 0.05
        """How long a chunk is held back in `delay`, and a piece of 512 bytes in `trickle`."""
        self._target = target
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._silent: set[tuple[socket.socket, socket.socket]] = set()
        self._lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self) -> int:
        """Close all connections, from both sides; -> how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._close(pair)
        return len(pairs)

    def silence(self) -> None:
        """What goes through the present connections is swallowed; nobody is told. New ones work."""
        with self._lock:
            self._silent |= self._pairs

    def lose_replies(self, count: int) -> None:
        """The next answers of the server are dropped, and their connections with them."""
        with self._lock:
            self._lost = count

    @property
    def replies_to_lose(self) -> int:
        """How many of the ordered ones are still to come."""
        return self._lost

    def close(self) -> None:
        """Stop listening and cut what is open."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=3)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket
    ) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if pair in self._silent:
                    continue
                if source is pair[1] and self._loses():
                    break
                self._pass(data, sink)
        self._close(pair)

    def _loses(self) -> bool:
        with self._lock:
            if self._lost <= 0:
                return False
            self._lost -= 1
            return True

    def _pass(self, data: bytes, sink: socket.socket) -> None:
        if self.mode == "trickle":
            for start in range(0, len(data), TRICKLE):
                sink.sendall(data[start : start + TRICKLE])
                time.sleep(self.seconds)
            return
        if self.mode == "delay":
            time.sleep(self.seconds)
        sink.sendall(data)

    def _close(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
            self._silent.discard(pair)
        for each in pair:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
