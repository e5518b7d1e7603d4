"""The stand-in GPU finds what is wrong: kernels with one fault each, and uses of CuPy that a GPU does not forgive."""

import gc
import re
from pathlib import Path

import numpy as np
import pytest
import stand_in
from device_cases import F32, FEATURES, I32, KERNELS, UNDEFINED, Out, files, run, sentence  # noqa: F401
from helpers import assert_equal
from stand_in.ptx import NotKnown

from dcgan_cupy import device as devices
from dcgan_cupy import ops
from dcgan_cupy.device import GpuDevice, KernelError, gpu

FAULTY = str(KERNELS / "faulty.cu")
ILLEGAL = "cudaErrorIllegalAddress: an illegal memory access was encountered: "


@pytest.fixture(params=[stand_in.NAME])
def dev(request):
    if missing := stand_in.why_not():
        pytest.skip(missing)
    return devices.get("gpu")


def launched(dev, symbol, block, *arguments, file=FAULTY, grid=1, shared_bytes=0, **macros):
    """Launches, waits, and returns the arrays' values."""
    sent = [dev.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
    dev.kernel(file, symbol, **macros)(grid, block, *sent, shared_bytes=shared_bytes)
    dev.synchronize()
    return [dev.numpy(a) for a in sent if dev.is_array(a)]


X = np.arange(1, 129, dtype=F32)


@pytest.mark.parametrize(
    "symbol, block, arguments, said",
    [
        ("store_behind", 12, (X[:10], I32(10)), r"thread \(10, 0, 0\) .* writes 4 bytes .*\(0 bytes behind the end of"),
        ("store_before", 4, (X[:10], I32(10)), r"thread \(0, 0, 0\) .* writes 4 bytes .*\(4 bytes before array"),
        ("load_behind", 64, (X[:32], X[:32], I32(32)), r"thread \(32, 0, 0\) .* reads 4 bytes .* behind the end of"),
        ("misaligned", 4, (X, X, I32(2)), r"reads 16 bytes at an address that is no multiple of 16"),
        ("store_through_null", 4, (X, None), r"writes 4 bytes outside of every array"),
        ("shared_behind", 32, (X, I32(1)), r"thread \(31, 0, 0\) .* writes 4 bytes outside of every shared variable"),
        ("dynamic_behind", 32, (X,), r"writes 4 bytes outside of every shared variable"),
        ("stops", 32, (X,), r"thread \(7, 0, 0\) of block \(0, 0, 0\) stops by a trap"),
    ],
)
def test_faults_are_told_with_thread_and_line(dev, symbol, block, arguments, said):
    """By the next call that waits, as on a GPU, and by every one after it."""
    with sentence(f"^gpu: a launch before: {ILLEGAL}{symbol}: .*{said}", KernelError) as caught:
        launched(dev, symbol, block, *arguments)
    line = int(re.search(r"\(.*faulty\.cu:(\d+)\)$", str(caught.value))[1])
    lines = Path(FAULTY).read_text().splitlines()
    start = next(i for i, text in enumerate(lines, 1) if f"void {symbol}(" in text)
    assert start <= line < start + 8
    with sentence(f"^gpu: allocate: {ILLEGAL}", KernelError):
        dev.empty(5)


def test_every_call_after_a_fault_is_one_sentence(dev):
    """No error of CUDA's reaches the caller as it is."""
    x, kernel = dev.array(X), dev.kernel(FAULTY, "store_behind")
    graph = dev.capture(lambda: kernel(1, 12, x, I32(12)))
    kernel(1, 12, x[:10], I32(10))
    for work in (
        lambda: dev.empty((5,)),
        lambda: dev.array(X),
        lambda: dev.numpy(x),
        lambda: dev.upload(x, X),
        lambda: kernel(1, 12, x, I32(12)),
        lambda: dev.kernel(FAULTY, "store_before"),
        lambda: dev.elapsed(lambda: None),
        lambda: dev.capture(lambda: None),
        dev.synchronize,
        dev.free_bytes,
        graph.launch,
    ):
        with sentence(ILLEGAL, KernelError):
            work()


def test_a_view_is_the_end_of_what_a_kernel_may_touch(dev):
    """Memory of the same allocation behind the array that was given is not its own."""
    whole = dev.array(X)
    dev.kernel(FAULTY, "store_behind")(1, 12, whole[:12], I32(12))
    assert_equal(dev.numpy(whole[:13]), np.append(np.ones(12, F32), 13))
    dev.kernel(FAULTY, "store_behind")(1, 12, whole[:10], I32(10))
    with sentence(r"thread \(10, 0, 0\) .*\(0 bytes behind the end of", KernelError):
        dev.numpy(whole)


def test_enough_dynamic_shared_memory_is_no_fault(dev):
    (got,) = launched(dev, "dynamic_behind", 32, X[:32], shared_bytes=128)
    assert_equal(got, X[:32][::-1])


def test_shared_memory_begins_as_nan(dev):
    (got,) = launched(dev, "unwritten_shared", 32, X[:32])
    assert np.isnan(got).all()


def test_arrays_begin_as_nan(dev):
    assert np.isnan(dev.numpy(dev.empty((3, 5)))).all()


ORDERS = {"": {}, "reversed": {"reversed": True}, "apart": {"apart": True}, "both": {"reversed": True, "apart": True}}


@pytest.mark.parametrize(
    "symbol, block, grid, found",
    [
        ("missing_barrier", 128, 1, ("", "reversed", "apart", "both")),
        ("missing_warp_barrier", 32, 1, ("apart", "both")),  # lanes in step hide it, as on a GPU on a good day
        ("race_of_blocks", 32, 5, ("reversed", "both")),
    ],
)
def test_races_show_in_another_order(dev, symbol, block, grid, found):
    want = {"missing_barrier": X[::-1], "missing_warp_barrier": np.roll(X[:32], -1), "race_of_blocks": X[:32]}[symbol]
    if symbol == "race_of_blocks":
        want = want.copy()
        want[0] = 4
    for name, order in ORDERS.items():
        with stand_in.installed(**order):
            (got,) = launched(dev, symbol, block, np.resize(X, want.size), grid=grid)
        assert np.array_equal(got, want) == (name not in found), name


def test_a_sum_in_any_order_differs(dev):
    x = np.random.default_rng(0).standard_normal(256).astype(F32)
    seen = set()
    for order in ORDERS.values():
        with stand_in.installed(**order):
            seen.add(launched(dev, "sum_in_any_order", 64, np.zeros(1, F32), x, grid=4)[0].tobytes())
    assert len(seen) > 1


@pytest.mark.parametrize(
    "symbol, block, said",
    [
        ("leaves_itself_out", 32, r"takes part with a mask that leaves itself out"),
        ("two_shuffles", 32, r"lanes 0000ffff of a warp wait here, lanes ffff0000 at place"),
        ("lane_at_barrier", 32, r"lanes ffffff7f of a warp wait here, lanes 00000080 at place"),
    ],
)
def test_lanes_that_wait_for_each_other_in_vain(dev, symbol, block, said):
    with sentence(said, KernelError):
        launched(dev, symbol, block, np.arange(32, dtype=I32), file=UNDEFINED)


def test_halves_of_a_block_at_different_barriers(dev):
    with sentence("of a warp wait here", KernelError):
        launched(dev, "two_barriers", 8, X[:8], file=FEATURES)


def test_a_kernel_without_an_end(dev, monkeypatch):
    from stand_in import machine

    monkeypatch.setattr(machine, "MOST_STEPS", 1 << 16)
    with sentence("does not come to an end", KernelError):
        launched(dev, "no_end", 1, np.zeros(1, F32))


def test_copies_land_at_their_wait(dev):
    """None on its way: all is there. One: the second group is not. Without a wait nothing is."""
    x = np.arange(256, dtype=F32)
    for wait, there in ((0, 256), (1, 128), (2, 0), (-1, 0)):
        _, got = launched(dev, "copy_in_two_groups", 32, x, np.zeros(256, F32), WAIT=wait)
        assert_equal(got[:there], x[:there]) if there else None
        assert np.isnan(got[there:]).all(), wait


# CuPy's rules


def test_no_allocation_copy_compilation_or_wait_in_a_capture(dev):
    x, kernel = dev.array(X), dev.kernel(FAULTY, "store_behind")
    for said, work in [
        ("an allocation", lambda: dev.empty(5)),
        ("an allocation", lambda: dev.array(X)),
        ("a copy from the host", lambda: dev.upload(x, X)),
        ("a copy to the host", lambda: dev.numpy(x)),
        ("a kernel is compiled or loaded", lambda: dev.kernel(FAULTY, "store_behind", UNUSED=len(gc.get_objects()))),
        ("waiting for it", dev.synchronize),
        ("an array is filled", lambda: x.fill(0)),
    ]:
        with pytest.raises((KernelError, RuntimeError), match="not permitted when stream is capturing") as caught:
            dev.capture(work)
        assert said in str(caught.value)
    dev.capture(lambda: kernel(1, 12, x, I32(12))).launch()
    assert_equal(dev.numpy(x)[:13], np.append(np.ones(12, F32), 13))


def test_an_error_that_work_swallows_spoils_the_capture(dev):
    def work():
        with pytest.raises(KernelError):
            dev.empty(5)

    with sentence("gpu: capture: cudaErrorStreamCaptureInvalidated", KernelError):
        dev.capture(work)


def test_a_capture_runs_nothing_and_a_graph_keeps_no_array(dev):
    module = gpu.cupy
    x, kernel = dev.array(X), dev.kernel(FAULTY, "store_behind")
    stream = module.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        kernel(1, 12, x, I32(12))
        graph = stream.end_capture()
    assert_equal(dev.numpy(x), X)
    graph.launch()
    assert_equal(dev.numpy(x)[:12], np.ones(12, F32))
    del x
    gc.collect()
    graph.launch()
    with sentence("an array of float32 .* that is gone", KernelError):
        dev.synchronize()


def test_the_default_stream_cannot_be_captured(dev):
    with pytest.raises(RuntimeError, match="the default stream cannot be captured"):
        gpu.cupy.cuda.get_current_stream().begin_capture()


def test_launches_that_cuda_refuses(dev):
    with sentence(r"^block_sum: launch: CUDA_ERROR_INVALID_VALUE", KernelError):  # __launch_bounds__(256)
        dev.kernel(FEATURES, "block_sum")(1, 512, dev.array(X), dev.zeros(1))
    with sentence(r"^reverse_dynamic: launch: CUDA_ERROR_INVALID_VALUE", KernelError):
        x = dev.zeros(8, I32)
        dev.kernel(FEATURES, "reverse_dynamic")(1, 8, x, x, shared_bytes=227 * 1024 + 1)
    function = dev.kernel(FAULTY, "store_behind").function
    for arguments, said in [
        ((dev.array(X), 5), "argument 1: need an array or a NumPy scalar, got int"),
        ((dev.array(X), np.int64(5)), "argument 1: need 4 bytes, got 8"),
        ((dev.array(X),), "need 2 arguments, got 1"),
        ((X, I32(5)), "argument 0: need an array or a NumPy scalar, got ndarray"),
    ]:
        with pytest.raises(TypeError, match=said):
            function((1,), (32,), arguments)


def test_arrays_do_not_turn_into_numpy_by_themselves(dev):
    x = dev.array(X)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)
    with pytest.raises(ValueError, match=r"non-scalar numpy\.ndarray cannot be used for fill"):
        x[:] = X


def test_two_gpus_do_not_mix():
    """Each device launches on its own GPU, in any order; an array of the other one is an illegal access."""
    if missing := stand_in.why_not():
        pytest.skip(missing)
    with stand_in.installed(2):
        first, second = GpuDevice(0), GpuDevice(1)
        for dev in (first, second, first):
            y = dev.zeros(5)
            ops.fill(dev, y, 2.0)
            assert_equal(dev.numpy(y), np.full(5, 2, F32))
            assert y.device.id == dev.number
        ops.fill(first, second.zeros(5), 1.0)
        with sentence("lies on GPU 1", KernelError):
            first.synchronize()


def test_a_fault_that_nobody_waits_for_is_not_lost(dev):
    """It is told by a fixture, no_fault_left, which takes it as this test does here."""
    dev.kernel(FAULTY, "store_behind")(1, 12, dev.array(X)[:10], I32(10))
    assert "behind the end of" in gpu.cupy.reset()


def test_what_the_machine_does_not_know_is_said(dev, files):
    path = files(a_cu='extern "C" __global__ void a(float* x) { asm volatile("nanosleep.u32 5; bar.arrive 1, 64;"); }')
    with pytest.raises(NotKnown, match=r"the stand-in does not run this PTX: a: bar\.arrive"):
        run(dev, "a", 1, 1, Out(1), file=path)
