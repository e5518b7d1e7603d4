"""Random changes to data files of every format: images or one sentence."""

import os
import signal
import time

import pytest
import specimens
from hostile_cases import guarded, opened, place, whole  # noqa: F401
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcgan_cupy.data import DataError

EXAMPLES = int(os.environ.get("DCGAN_CUPY_FUZZ", "8"))


@pytest.mark.parametrize("write", specimens.EVERY, ids=lambda write: write.__name__)
def test_fuzz(write, place):
    """Bytes changed, cut out and put in anywhere: a dataset or a sentence.

    DCGAN_CUPY_FUZZ=3000 makes a campaign of it.
    """
    name, data = whole(write)
    signal.alarm(0)  # each example has its own limit below

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="DCGAN_CUPY_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(
            st.tuples(st.integers(0, len(data)), st.integers(0, 3), st.binary(min_size=1, max_size=9)),
            min_size=1,
            max_size=6,
        )
    )
    def attack(changes):
        changed = bytearray(data)
        for at, kind, new in changes:
            if kind == 0:
                changed[at : at + len(new)] = new
            elif kind == 1:
                del changed[at : at + 1 + 37 * new[0]]
            elif kind == 2:
                changed[at % 600 : at % 600 + len(new)] = new  # headers are at the front
            else:
                changed[max(0, len(changed) - at % 600) :][: len(new)] = new
                del changed[len(changed) - at % 90 :]  # and directories at the end
        (place / name).write_bytes(changed)
        begun = time.monotonic()
        for form in (None, {"zipped": "zip", "tarred": "tar", "lmdb": "lmdb"}.get(write.__name__)):
            try:
                opened(place / name, format=form)
            except DataError as error:
                assert "\n" not in str(error)
        assert time.monotonic() - begun < 10

    attack()
