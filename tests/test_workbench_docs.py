"""What docs/workbench.md says is found, and what it says is counted: each line has its test."""

import re
from pathlib import Path

import pytest
from judged import JUDGED
from judged_more import ORDER, SPACES
from judged_order import ORDERED
from judged_words import WORDS
from planted import PLANTED
from planted_races import RACES

TESTS = Path(__file__).resolve().parent
DOCS = (TESTS.parent / "docs" / "workbench.md").read_text(encoding="utf-8")
CASES = [*JUDGED, *ORDERED, *SPACES, *ORDER, *WORDS]

# A kind, words of its line, and the kernel that has that fault and must be reported with it.
FOUND = [
    ("out-of-bounds", "outside of the array by whose pointer it goes", "tail guard removed"),
    ("out-of-bounds", "also where another array lies there", "from one array into the next"),
    ("out-of-bounds", "though inside its neighbour", "one shared array into its neighbour"),
    ("out-of-bounds", "dynamic shared memory", "dynamic shared memory too small"),
    ("out-of-bounds", "of a `__device__`", "past a __device__ array"),
    ("out-of-bounds", "`__constant__` variable", "constant memory read past its end"),
    ("out-of-bounds", "a thread's local array", "a local histogram overrun"),
    ("out-of-bounds", "a null pointer", "an atomic on a literal null pointer"),
    ("misaligned", "2, 4, 8 or 16 bytes", "a float4 where only floats are aligned"),
    ("misaligned", "may lie at any multiple of 4", "a struct aligned less than its size"),
    ("uninitialised", "shared memory that the block has not written", "shared memory read where nobody wrote it"),
    ("uninitialised", "an output (`:empty`)", "an output that is added to"),
    ("uninitialised", "local array's element", "a local array read before it is written"),
    ("uninitialised", "`cp.async`", "no wait for cp.async"),
    ("race", "at least one writes", "no barrier after the load"),
    ("race", "not both by atomics", "an atomic here, a plain read there"),
    ("race", "In a block a barrier does", "a broadcast used again without waiting"),
    ("race", "`__syncwarp`", "no __syncwarp in a warp"),
    ("race", "a collective that both lanes take part in", "a warp's own sums need no barrier, by shuffles"),
    ("race", "tickets and locks", "a ticket in memory of its own, reset by the last block"),
    ("race", "anywhere a fence", "a lock without fences"),
    ("read-only", "a write to `__constant__` memory", "constant memory written"),
    ("division", "divided by zero", "division by zero"),
    ("barrier", "somebody never reaches", "a barrier that half the block never reaches"),
    ("barrier", "a warp collective", "a collective that some lanes of its mask never reach"),
    ("barrier", "at another line", "a barrier in either branch"),
    ("barrier", "different rounds of a loop", "a barrier in other rounds"),
    ("assert", "`__trap()`", "a trap"),
    ("stopped", "a jump to nowhere", "a jump to nowhere"),
    ("stopped", "a recursion too deep", "a recursion too deep"),
    ("stopped", "a loop without end", "a loop without end and without an access"),
]
SOUND = ("a struct aligned less than its size", "a warp's own sums need no barrier, by shuffles")
SOUND += ("a ticket in memory of its own, reset by the last block",)
# A number, and the test that holds it against pencil and paper.
COUNTED = {
    "requests": "test_lanes_that_skip_an_iteration_stay_together",
    "sectors, ideal": "test_sectors_of_a_read",
    "shared": "test_transpose_with_and_without_padding",
    "conflicts": "test_bank_conflicts_of_wide_reads",
    "lanes": "test_a_tree_reduction_splits_only_its_last_warp",
    "diverge": "test_a_tree_reduction_splits_only_its_last_warp",
    "FLOP": "test_flops_of_a_line",
    "bytes": "test_bytes_are_those_of_the_header",
    "roofline": "test_roofline_and_occupancy",
    "occupancy": "test_roofline_and_occupancy",
}


def rows(heading: str) -> dict[str, str]:
    """The first column's entries of the table below a heading, and their lines."""
    part = DOCS.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")][1:]
    return {re.sub(r"`", "", line.split("|")[1].strip()): line for line in lines}


@pytest.mark.parametrize("kind, words, name", FOUND, ids=lambda v: v if " " not in v else None)
def test_what_is_found_has_its_kernel(kind, words, name):
    assert words in rows("What it finds")[kind]
    judged = [c for c in CASES if c.name == name]
    planted = [p for p in [*PLANTED, *RACES] if p["name"] == name]
    assert judged or planted
    if name in SOUND:
        assert judged[0].expected == ()
    else:
        kinds = {k for c in judged for k, _, _ in c.expected}
        assert kind in kinds or any(f"// {kind}" in p["text"] for p in planted)


def test_every_line_of_what_is_found_is_there():
    assert {kind for kind, _, _ in FOUND} == set(rows("What it finds"))


def test_every_number_has_its_test():
    text = (TESTS / "test_costs.py").read_text(encoding="utf-8")
    assert set(COUNTED) == set(rows("What it counts"))
    assert all(f"def {test}(" in text for test in COUNTED.values())
    assert "test_atomics_on_one_word_take_turns" in (TESTS / "test_judged.py").read_text(encoding="utf-8")


def test_there_are_enough_of_them():
    assert len(CASES) >= 60 and len({c.name for c in CASES}) == len(CASES)
