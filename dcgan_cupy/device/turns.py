"""Locks that survive a fork: a forked child finds them open."""

import os
import threading
import weakref


class Turn:
    """A lock to hold by `with`.

    A child forked while another thread holds a common lock would wait for ever: that thread is not there.
    """

    def __init__(self):
        self.renew()
        _every.add(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self):
        self._lock.acquire()
        return self

    def __exit__(self, *error):
        self._lock.release()


_every: weakref.WeakSet = weakref.WeakSet()


def _renew_all() -> None:
    for turn in list(_every):
        turn.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
