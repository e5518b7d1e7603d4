"""Arguments, grids, arrays and kernels that cannot be launched."""

import re

import numpy as np
import pytest
from device_cases import F32, FEATURES, I32, KERNELS, cpu, one, sentence  # noqa: F401
from helpers import assert_equal

from dcgan_cupy import ops
from dcgan_cupy.memory import Turns


@pytest.mark.parametrize(
    "arguments, message",
    [
        (lambda x: (x, x, 5), r"n: need a NumPy scalar of int32, got a Python int"),
        (lambda x: (x, x, 5.0), r"n: need a NumPy scalar of int32, got a Python float"),
        (lambda x: (x, x, np.int64(5)), r"n: need a NumPy scalar of int32, got numpy\.int64 of int64"),
        (lambda x: (x, x, np.array(5, I32)), r"n: need a NumPy scalar of int32, got numpy\.ndarray of int32"),
        (lambda x: (x, x, x), r"n: need a NumPy scalar of int32, got \w+\.ndarray of float32"),
        (lambda x: (x, x, None), r"n: need a NumPy scalar of int32, got a Python NoneType"),
        (
            lambda x: (x, x.astype(np.float64), I32(5)),
            r"y: need an array of float32 on the \w+, got \w+\.ndarray of float64",
        ),
        (lambda x: (x, F32(1), I32(5)), r"y: need an array of float32 on the \w+, got numpy\.float32 of float32"),
        (lambda x: ([1.0] * 5, x, I32(5)), r"x: need an array of float32 on the \w+, got a Python list"),
        (lambda x: (x, x), r"arguments: need 3 \(x, y, n\), got 2"),
        (lambda x: (x, x, I32(5), I32(5)), r"arguments: need 3 \(x, y, n\), got 4"),
        (lambda x: (), r"arguments: need 3 \(x, y, n\), got 0"),
    ],
)
def test_wrong_arguments(one, arguments, message):
    kernel, x = one.kernel(FEATURES, "scale<4>"), one.zeros(5)
    with sentence(f"^scale<4>: {message}$", TypeError):
        kernel(1, 32, *arguments(x))


def test_arrays_with_gaps_are_refused(one):
    kernel, x = one.kernel(FEATURES, "scale<4>"), one.zeros((6, 6))
    for gaps in (x[::2], x[:, :3], x.T):
        with sentence(r"scale<4>: x: need an array in C order without gaps, got strides \(\d+, \d+\)", ValueError):
            kernel(1, 32, gaps, x, I32(5))
    kernel(1, 32, x[2:4], x, I32(5))


@pytest.mark.parametrize(
    "grid, block, message",
    [
        (1, 1025, r"thread_numbers: block: need 1 to 3 sizes from 1 to \(1024, 1024, 64\), got 1025"),
        (1, (1, 1, 65), r"thread_numbers: block: need 1 to 3 sizes from 1 to \(1024, 1024, 64\), got \(1, 1, 65\)"),
        (1, (33, 32), r"thread_numbers: block: need at most 1024 threads, got 1056 \(33,32,1\)"),
        (1, 0, r"thread_numbers: block: need 1 to 3 sizes from 1 to .*, got 0"),
        (0, 32, r"thread_numbers: grid: need 1 to 3 sizes from 1 to \(2147483647, 65535, 65535\), got 0"),
        ((4, 0), 32, r"thread_numbers: grid: need .*, got \(4, 0\)"),
        (-1, 32, r"thread_numbers: grid: need .*, got -1"),
        ((1, 65536), 32, r"thread_numbers: grid: need .*, got \(1, 65536\)"),
        ((1, 1, 1, 1), 32, r"thread_numbers: grid: need .*, got \(1, 1, 1, 1\)"),
    ],
)
def test_wrong_grids_and_blocks(one, grid, block, message):
    with sentence(message, ValueError):
        one.kernel(FEATURES, "thread_numbers")(grid, block, one.zeros(8, I32))


def test_too_much_shared_memory(cpu):
    kernel, x = cpu.kernel(FEATURES, "reverse_dynamic"), cpu.zeros(8, I32)
    with sentence(r"reverse_dynamic: shared_bytes: need at most 232448, got 232449"):
        kernel(1, 8, x, x, shared_bytes=227 * 1024 + 1)
    kernel(1, 8, x, x, shared_bytes=227 * 1024)


def test_unknown_kernel_lists_those_that_exist(one):
    with sentence(
        r"features\.cu: kernel: need one of thread_numbers, scale, block_sum, .*, hidden_barrier, .*, got 'block_summ'"
    ):
        one.kernel(FEATURES, "block_summ")
    with sentence(r"index\.cuh: kernel: need one of \(no kernel in this file\), got 'f'"):
        one.kernel("include/index.cuh", "f")


def test_unknown_file(one):
    with sentence(r"kernels: nowhere/none\.cu: need a file under .*kernels, got none of that name"):
        one.kernel("nowhere/none.cu", "f")


def test_compile_error_names_file_and_line(one):
    with sentence(
        r"does_not_compile\.cu(:4: compile: expected|: compile: .*does_not_compile\.cu\(4\): error: expected)"
    ):
        one.kernel(str(KERNELS / "does_not_compile.cu"), "no_semicolon")


def test_a_template_needs_an_instance(cpu):
    for symbol in ("scale", "scale<name_of_nothing>", "scale<4, 5>"):
        with sentence(f"^{re.escape(symbol)}: compile: "):
            cpu.kernel(FEATURES, symbol)


def test_a_kernel_is_made_once(one):
    assert one.kernel(FEATURES, "scale<4>") is one.kernel(FEATURES, "scale<4>")
    assert one.kernel(FEATURES, "scale_by_macro", TIMES=3) is not one.kernel(FEATURES, "scale_by_macro", TIMES=4)


def test_arrays(one):
    x = np.arange(12, dtype=F32).reshape(3, 4)
    before, size = one.allocations, one.allocated_bytes
    made = one.array(x.T)
    assert made.flags.c_contiguous and made.shape == (4, 3) and made.dtype == F32
    assert_equal(one.numpy(made), x.T)
    one.upload(made, x.T + 1)
    copy = one.numpy(made)
    copy[0] = 99
    assert_equal(one.numpy(made), x.T + 1)
    assert_equal(one.numpy(one.zeros((2, 3), np.uint8)), np.zeros((2, 3)))
    assert one.empty(()).shape == () and one.empty((0, 5)).size == 0 and one.empty(7).shape == (7,)
    assert one.allocations - before == 5 and one.allocated_bytes - size == 48 + 6 + 4 + 0 + 28
    for wrong in (x, x.T.astype(np.float64), x.T[:1], x[0, 0]):
        with sentence(r"upload: need float32 \(4, 3\), got float(32|64) \(.*\)", ValueError):
            one.upload(made, wrong)
    assert_equal(one.numpy(made), x.T + 1)


def test_gradients_take_turns(one):
    turns = Turns(one)
    first, second = turns(None, None, (2, 3)), turns(None, None, (4,))
    before, start = one.allocations, one.address(first)
    assert first.shape == (2, 3) and first.dtype == F32 and one.address(second) != start
    again = turns(None, None, (3, 2)), turns(None, None, (2, 2))
    assert [one.address(a) for a in again] == [start, one.address(second)] and one.allocations == before
    larger = turns(None, None, (7,))  # grows the first, and the second stays
    assert larger.shape == (7,) and one.allocations == before + 1
    again = turns(None, None, (1,)), turns(None, None, (7,))
    assert [one.address(a) for a in again] == [one.address(second), one.address(larger)]
    for _ in range(2):
        turns.rewind()
        assert one.address(turns(None, None, (7,))) == one.address(larger)


def test_watched_launches_are_those_that_run(one):
    """Each launch comes by, and runs when the watcher says so; behind it nothing is left."""
    seen, x = [], one.zeros((5,))

    def watch(kernel, grid, block, arguments, run):
        seen.append((kernel.symbol, grid, block, len(arguments)))
        if len(seen) == 1:
            run()

    with one.watched(watch):
        ops.fill(one, x, 1.0)
        ops.fill(one, x, 2.0)
    assert_equal(one.numpy(x), np.ones(5, F32))
    ops.fill(one, x, 3.0)
    assert_equal(one.numpy(x), np.full(5, 3, F32))
    assert seen == [("fill", (1, 1, 1), (256, 1, 1), 3)] * 2


@pytest.mark.parametrize("shape, dtype", [((3, 5), F32), (1, np.uint8), (1000003, np.uint8), ((), np.float64)])
def test_cpu_arrays_start_on_a_cache_line(cpu, shape, dtype):
    assert cpu.empty(shape, dtype).ctypes.data % 64 == 0
