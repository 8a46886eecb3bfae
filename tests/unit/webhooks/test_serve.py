import signal

import pytest
from granian._signals import set_main_signals

from webhooks.serve import Server


class Busy:
    """An event that, while it is set, is asked for again: `threading.Event` would wait for its own lock."""

    def __init__(self):
        self.inside = False
        self.times = 0

    def set(self):
        assert not self.inside, "asked again while the lock is held"
        self.inside = True
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        self.inside = False
        self.times += 1


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_however_often_it_is_asked(first):
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    server = Server("webhooks.app:app")
    server.main_loop_interrupt = Busy()
    try:
        set_main_signals(server.signal_handler_interrupt, server.signal_handler_reload)
        signal.raise_signal(first)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert server.interrupt_signal
    assert server.main_loop_interrupt.times == 1
