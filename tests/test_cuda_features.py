"""CUDA's words on the CPU device: threads, barriers, shuffles, atomics, vectors, mathematics."""

import multiprocessing
import os
import platform
import threading
from pathlib import Path

import numpy as np
import pytest
from device_cases import CPU, F32, FEATURES, GPU, I32, U32, Out, changed, cpu, dev, one, run, variant  # noqa: F401
from helpers import assert_equal, integers, normal

from dcgan_cupy.device import CpuDevice


@pytest.fixture(params=["cpu-1", "cpu-2", "cpu-5", "cpu-debug", GPU])
def loop(request):
    """Every device that runs a barrier-free kernel in a way of its own: it has no fibers to switch."""
    return variant(request.param)


@pytest.mark.parametrize(
    "grid, block",
    [(1, 1), (7, 33), ((2, 3, 4), (5, 3, 2)), ((1, 1, 9), (1, 1, 64)), (100, 1024), ((3, 50), (32, 32)), (20000, 1)],
)
def test_thread_numbers(loop, grid, block):
    threads, count = int(np.prod(block)), int(np.prod(grid) * np.prod(block))
    numbers = np.arange(count)
    assert_equal(
        run(loop, "thread_numbers", grid, block, Out(count, I32)), 1000 * (numbers // threads) + numbers % threads
    )


@pytest.mark.parametrize("n", [1, 31, 1000, 4097])
def test_template_instance(loop, n):
    x = integers(np.random.default_rng(n), n)
    for factor in (4, -3):
        assert_equal(run(loop, f"scale<{factor}>", (n + 127) // 128, 128, x, Out(n), I32(n)), factor * x)


def test_macros(one):
    x = np.arange(5, dtype=F32)
    for want, macros in [(2, {}), (3, {"TIMES": 3}), (1, {"TIMES": True}), (-0.5, {"TIMES": "(-1.0f / 2)"})]:
        assert_equal(run(one, "scale_by_macro", 1, 5, changed(x), **macros), want * x)


@pytest.mark.parametrize("blocks", [1, 2, 37])
def test_block_sum(dev, blocks):
    x = integers(np.random.default_rng(blocks), (blocks, 256))
    assert_equal(run(dev, "block_sum", blocks, 256, x, Out(blocks)), x.sum(1))


@pytest.mark.parametrize("block", [1, 2, 31, 32, 33, 50, 100, 1000, 1023, 1024, (7, 9, 11), (3, 1, 11)])
def test_shuffles_and_barriers_in_one_kernel(dev, block):
    threads, blocks = int(np.prod(block)), 5
    n = threads * blocks - threads // 3  # the last block reads past n
    x = integers(np.random.default_rng(threads), n)
    want = np.append(x, np.zeros(threads * blocks - n)).reshape(blocks, threads).sum(1)
    assert_equal(run(dev, "block_sum_shuffles", blocks, block, x, Out(blocks), I32(n)), want)


@pytest.mark.parametrize("threads", [1, 5, 64, 1024])
def test_dynamic_shared_memory(dev, threads):
    x = np.arange(4 * threads, dtype=I32)
    got = run(dev, "reverse_dynamic", 4, threads, x, Out(4 * threads, I32), shared_bytes=4 * threads)
    assert_equal(got, x.reshape(4, threads)[:, ::-1].ravel())


@pytest.mark.parametrize("threads", [1, 33, 1024])
def test_each_thread_keeps_its_locals_over_barriers(dev, threads):
    x = np.random.default_rng(threads).integers(-1000, 1000, (3, 16, threads)).astype(I32)
    want = np.stack([np.roll(x[:, k], -k, axis=1) for k in range(16)], axis=1)
    assert_equal(run(dev, "rotate_in_registers", 3, threads, x, Out(x.size, I32)), want.ravel())


@pytest.mark.parametrize("warps", [1, 3])
def test_shuffles(dev, warps):
    x = integers(np.random.default_rng(warps), (warps, 32), -50, 50)
    lane = np.arange(32)
    sources = [
        (lane + 5) % 32,
        np.where(lane >= 3, lane - 3, lane),
        np.where(lane + 3 < 32, lane + 3, lane),
        lane ^ 7,
        np.where(lane % 8 + 2 < 8, lane + 2, lane),
    ]
    want = np.stack([*(x[:, s] for s in sources), np.broadcast_to(x.sum(1, keepdims=True), x.shape)], axis=1)
    assert_equal(run(dev, "shuffles", 1, 32 * warps, x, Out(warps * 6 * 32)), want.ravel())


@pytest.mark.parametrize("name", CPU)
@pytest.mark.parametrize("threads", [2, 50])
def test_lanes_that_do_not_exist_are_not_waited_for(name, threads):
    x = np.arange(threads, dtype=I32) + 100
    out = run(variant(name), "full_mask", 1, threads, x, Out(2 * threads, I32)).reshape(2, threads)
    assert_equal(out[0], x[np.arange(threads) ^ 1])
    assert_equal(out[1], [int(np.sum(np.arange(threads) // 32 == i // 32)) for i in range(threads)])


@pytest.mark.parametrize("highest", [900, 1001])  # one vote above 1000, or none
def test_parts_of_a_warp_meet_on_their_own(dev, highest):
    x = np.random.default_rng(3).integers(0, 900, 32).astype(I32)
    x[9] = highest
    lane = np.arange(32)
    out = run(dev, "half_warps", 1, 32, x, Out(65, I32))
    assert_equal(out[:32], x[np.where(lane < 16, lane ^ 1, lane ^ 2)])
    assert int(out[32]) & 0xFFFFFFFF == sum(int(v % 2) << i for i, v in enumerate(x))
    assert_equal(out[33:], np.full(32, 2 * (highest > 1000) + 1))


@pytest.mark.parametrize("threads", [1, 40, 1024])
def test_barrier_votes(dev, threads):
    for x in (np.zeros(threads, I32), np.ones(threads, I32), (np.arange(threads) % 2).astype(I32)):
        want = 100 * x.sum() + 10 * x.any() + x.all()
        assert_equal(run(dev, "barrier_votes", 1, threads, x, Out(threads, I32)), np.full(threads, want))


@pytest.mark.parametrize("grid, block", [(1, 1), (50, 96), (2000, 33)])
def test_atomics(loop, grid, block):
    n = grid * block  # below 2^24: a float counts exactly
    zeros = [changed(np.zeros(count, dtype)) for count, dtype in ((6, I32), (1, U32), (1, F32))]
    ints, bits, floats = run(loop, "count_atomics", grid, block, *zeros)
    assert_equal(ints, np.array([n, n - 1, 1 - n, -2 * n, 7, 9]))
    assert bits[0] == 2 ** min(block, 32) - 1
    assert floats[0] == n


def test_vectors(loop):
    rng = np.random.default_rng(0)
    x, u = integers(rng, (50, 4)), rng.integers(0, 1000, (50, 4)).astype(U32)
    y, sums = run(loop, "vectors", 1, 50, x, Out(200), u, Out(100))
    assert_equal(y, x[:, ::-1].ravel())
    assert_equal(sums, np.stack([u[:, 0] + u[:, 1], 2 * u[:, 2] + u[:, 3]], axis=1).ravel())


def test_mathematics(loop):
    x = np.linspace(0.125, 3.0, 47).astype(F32)
    v = x.astype(np.float64)
    want = [np.sqrt(v), 1 / np.sqrt(v), np.exp(v), np.log(v), np.log1p(v), np.tanh(v), np.sin(v), np.cos(v), v**1.5]
    want = np.stack([*want, np.maximum(v, 1), np.minimum(v, 1), v], axis=1)
    got = run(loop, "mathematics", 1, 47, x, Out(47 * 12)).reshape(47, 12)
    assert np.isfinite(got).all()
    # CUDA's guide gives these functions at most 4 units in the last place (powf): 4 * 2^-23 = 4.8e-7; the C library is
    # closer
    np.testing.assert_allclose(got, want, rtol=6e-7, atol=1e-7)


def test_exponential_and_tangent_at_the_edges(loop):
    x = np.array(
        [-np.inf, np.inf, np.nan, -200, -105, -87, 88.7, 89.5, 200, 0, -0.0, 1e-30, -1e-30, 1e-4, 0.34, 0.36, 9, -20],
        F32,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        exp, tanh = np.exp(x, dtype=np.float64).astype(F32), np.tanh(x, dtype=np.float64)
    got = run(loop, "mathematics", 1, x.size, x, Out(x.size * 12)).reshape(-1, 12)
    # as in test_mathematics; what is below the smallest normal number is flushed, so an absolute error of that size is
    # none
    np.testing.assert_allclose(got[:, 2], exp, rtol=6e-7, atol=1.2e-38)
    np.testing.assert_allclose(got[:, 5], tanh, rtol=6e-7, atol=0)
    assert np.signbit(got[10, 5]), "tanh(-0.0) is -0.0"


def test_integer_words(loop):
    x = np.array([0, 1, -1, 5, 255, -(2**31), 2**31 - 1, 0x1234567], I32)
    u = x.astype(U32)
    bits = [f"{v:032b}" for v in u]
    want = [
        [b.count("1") for b in bits],
        [32 - len(b.lstrip("0")) for b in bits],
        [32 - len(b.rstrip("0")) + 1 if "1" in b else 0 for b in bits],
        np.array([int(b[::-1], 2) for b in bits], U32).astype(I32),
        np.array([int(v) * 0x9E3779B9 >> 32 for v in u], U32).astype(I32),
        [int(v) * 0x1E3779B9 >> 32 for v in x],
        np.minimum(x, 8),
        np.maximum(np.arange(8), 3),
        np.minimum(u, 8),
        np.maximum(x, -5),
    ]
    got = run(loop, "integer_words", 1, 8, x, Out(80, I32)).reshape(8, 10)
    for column, expected in enumerate(want):
        assert_equal(got[:, column], np.array(expected), f"column {column}")


def test_scalars_of_every_type(loop):
    values = [
        np.bool_(True),
        np.int8(-128),
        np.uint8(200),
        np.int16(-30000),
        np.uint16(60000),
        I32(-(2**31)),
        U32(2**32 - 1),
    ]
    values += [np.int64(-(2**53)), np.uint64(2**53), F32(0.1), np.float64(0.1)]
    for pointer, is_null in ((np.ones(1, F32), 0), (None, 1)):
        got = run(loop, "scalars", 1, 1, Out(13, np.float64), *values, pointer, np.uint64(3))
        assert_equal(got, np.array([*(float(v) for v in values), is_null, 3]))


def test_barrier_hidden_in_a_function_and_a_macro(dev):
    assert_equal(run(dev, "hidden_barrier", 1, 48, Out(48, I32)), np.full(48, 5))


def test_whole_blocks_may_leave_before_a_barrier(dev):
    got = run(dev, "whole_blocks_leave", 6, 40, changed(np.full(240, -1, I32))).reshape(6, 40)
    assert_equal(got, np.repeat([[0], [-1], [2], [-1], [4], [-1]], 40, axis=1))


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="denormals are flushed on x86-64 and AArch64 only"
)
def test_denormals_are_flushed_in_kernels_and_kept_outside(dev):
    tiny = F32(1e-40)
    x = np.full(64 * 32, np.finfo(F32).tiny, F32)  # the smallest normal number: half of it is a denormal
    assert_equal(run(dev, "halve", 64, 32, x, Out(x.size)), np.zeros_like(x))
    assert_equal(run(dev, "double_after_barrier", 64, 32, np.full_like(x, tiny), Out(x.size)), np.zeros_like(x))
    assert x[0] * F32(0.5) > 0, "the caller's own results are flushed now"
    assert tiny * F32(1e10) > 0, "the caller's own operands are flushed now"


def test_the_same_bits_on_any_number_of_threads():
    rng = np.random.default_rng(7)
    x, n = normal(rng, 300 * 256), 300 * 256
    seen = {}
    for name in ("cpu-1", "cpu-2", "cpu-5", "cpu-ucontext", "cpu-5"):
        outputs = [
            run(variant(name), "block_sum", 300, 256, x, Out(300)),
            run(variant(name), "block_sum_shuffles", 100, (31, 7), x, Out(100), I32(n)),
            run(variant(name), "mathematics", 300, 256, np.abs(x), Out(256 * 12)),
        ]
        assert all(np.isfinite(o).all() for o in outputs)
        bits = b"".join(o.tobytes() for o in outputs)
        assert seen.setdefault("bits", bits) == bits, name


def test_python_threads_may_launch_at_once(cpu):
    kernel, rng = cpu.kernel(FEATURES, "block_sum"), np.random.default_rng(0)
    wrong = []

    def many(x, sums):
        for _ in range(150):
            sums[:] = -1
            kernel(20, 256, x, sums)
            wrong.extend(np.flatnonzero(sums != x.reshape(20, 256).sum(1)))

    threads = [threading.Thread(target=many, args=(integers(rng, 20 * 256), cpu.empty(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert not wrong


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_kernels_run_in_a_forked_child(cpu):
    x, sums = cpu.array(np.arange(40 * 256) % 7).astype(F32), cpu.zeros(40)
    kernel = cpu.kernel(FEATURES, "block_sum")
    kernel(40, 256, x, sums)  # the parent's workers are awake
    context = multiprocessing.get_context("fork")

    def child(pipe):
        again = cpu.zeros(40)
        kernel(40, 256, x, again)
        tasks = len(os.listdir("/proc/self/task")) if Path("/proc/self/task").is_dir() else 2
        pipe.send((again, run(CpuDevice(threads=3), "scale<4>", 5, 1000, x[:5000], Out(5000), I32(5000)), tasks))

    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs,), daemon=True)
    process.start()
    try:
        assert ours.poll(60), "the child hangs"
        again, scaled, tasks = ours.recv()
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
    assert_equal(again, sums)
    assert_equal(scaled, 4 * x[:5000])
    assert tasks == 2, "the child has one worker of its own beside the thread that forked"
