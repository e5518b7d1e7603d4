"""Signals during a run: save and leave, or save and go on; before its first step and after its last: leave."""

import contextlib
import signal
import sys

LEAVE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """While it is entered: SIGINT, SIGTERM and SIGHUP ask the loop to leave after the step at hand, SIGUSR1 to save.

    A second Ctrl-C (or the same signal again) acts at once, as if nobody had caught it.
    """

    def __init__(self):
        self.leave: signal.Signals | None = None  # the signal that asked
        self.save = False
        self._old = {}

    def __enter__(self):
        for number in (*LEAVE, signal.SIGUSR1):
            try:
                self._old[number] = signal.signal(number, self._asked)
            except ValueError:  # not in the main thread: then nobody can send them here
                break
        return self

    def __exit__(self, *_):
        for number, old in self._old.items():
            signal.signal(number, old)
        self._old = {}

    def _asked(self, number, frame) -> None:
        if number == signal.SIGUSR1:
            self.save = True
            return
        self.leave = signal.Signals(number)
        signal.signal(number, self._old[number])

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, 0 where none asked to leave."""
        return 128 + self.leave if self.leave else 0


@contextlib.contextmanager
def leaving():
    """SIGTERM and SIGHUP end what runs inside as an exception does, with exit code 143 or 129: folders are let go of,

    what was made for a run that never began goes away. During the steps, Signals takes them instead.
    """

    def leave(number, frame):
        sys.exit(128 + number)

    old = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ValueError):  # not in the main thread
                old[number] = signal.signal(number, leave)
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
