"""Each rung is one idea beyond the one before: neighbours share at least half of the shorter text's code lines."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from dcgan_cupy.device import source

LADDERS = {
    "forward": ("forward_1_textbook", "forward_2_shared", "forward_3_registers", "forward_4_tiled"),
    "backward_input": (
        "backward_input_1_textbook",
        "backward_input_1_phases",
        "backward_input_2_shared",
        "backward_input_3_registers",
        "backward_input_4_tiled",
    ),
    "backward_weight": (
        "backward_weight_1_textbook",
        "backward_weight_2_shared",
        "backward_weight_3_registers",
        "backward_weight_4_tiled",
    ),
}
NEIGHBOURS = [pair for ladder in LADDERS.values() for pair in pairwise(ladder)]


def code_lines(name: str, headers: bool) -> Counter:
    """The lines of a kernel that are not blank or comment, one space for any; headers: and of what it includes."""
    file = f"conv2d/{name}.cu"
    text = source.load(file) if headers else (source.KERNELS / file).read_text(encoding="utf-8")
    lines = (re.sub(r"\s+", " ", line.partition("//")[0]).strip() for line in text.splitlines())
    return Counter(line for line in lines if line and not line.startswith("#line"))


@pytest.mark.parametrize("before, after", NEIGHBOURS)
def test_neighbours_share_half_of_the_shorter_text(before, after):
    one, other = code_lines(before, headers=False), code_lines(after, headers=True)
    if one.total() > other.total():
        one, other = other, one
    assert 2 * (one & other).total() >= one.total()
