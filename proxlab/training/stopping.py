"""Interrupts that wait for the end of a step, so that what is saved is whole and to the bit.

    with stopping() as stop:
        for step in steps:
            ...
            if stop.asked:
                save()
                stop.go_on()       # raises what the signal would have raised

A second signal is not kept waiting.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], object]


class Stop:
    """The first signal that came, kept until it is let go on."""

    def __init__(self):
        self._kept: list[tuple[int, Handler]] = []

    @property
    def asked(self) -> bool:
        """Whether a signal waits."""
        return bool(self._kept)

    def go_on(self) -> None:
        """Hands the signal that waits to whoever had it before; raises what that raises."""
        if self._kept:
            signum, handler = self._kept.pop()
            handler(signum, None)

    def keep(self, signum: int, handler: Handler) -> None:
        """Keeps the signal; the second one goes on at once, to `handler`."""
        if self._kept:
            self.go_on()
        self._kept.append((signum, handler))


@contextmanager
def stopping(wanted: bool = True) -> Iterator[Stop]:
    """Inside, SIGINT and SIGTERM wait, where Python has a handler for them and if `wanted`.

    In another thread than the main one nothing waits, as none gets a signal. A signal that still
    waits at the end goes on.
    """
    stop, before = Stop(), {}
    if wanted and threading.current_thread() is threading.main_thread():
        found = {signum: signal.getsignal(signum) for signum in SIGNALS}
        before = {signum: handler for signum, handler in found.items() if callable(handler)}
    try:
        for signum, handler in before.items():
            signal.signal(signum, lambda s, frame, handler=handler: stop.keep(s, handler))
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    stop.go_on()
