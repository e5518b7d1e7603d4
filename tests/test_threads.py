"""Threads and forks: several threads compute what one computes, and a forked child waits for no thread left behind."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from device_cases import F32, FEATURES, I32, cpu, one, python, sentence  # noqa: F401
from helpers import assert_equal

from dcgan_cupy import layers, networks, ops
from dcgan_cupy.config import Config
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.random import Random
from dcgan_cupy.trainer import Trainer

TOGETHER = 4


def together(*works):
    """Runs works, each in a thread of its own, all begun at once; raises the first error."""
    start, errors = threading.Barrier(len(works)), []

    def run(work):
        try:
            start.wait(60)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]


def split_convolution(device, seed, rung):
    """A function that computes a weight gradient in parts: in the scratch until a second launch adds them up."""
    rng = np.random.default_rng(seed)
    shapes = (8, 9, 10, 5 + seed), (8, 9, 10, 7), (3, 3, 5 + seed, 7)
    x, dy = (device.array(rng.standard_normal(shape).astype(F32)) for shape in shapes[:2])
    dw = device.empty(shapes[2])

    def work():
        ops.fill(device, dw, 0.0)
        ops.conv2d_backward_weight(device, x, dy, dw, (1, 1), (1, 1), rung, known=False)
        return device.numpy(dw)

    return work


@pytest.mark.parametrize("rung", ["tiled", "winograd"])
def test_launches_of_four_threads_equal_those_of_one(one, rung):
    works = [split_convolution(one, seed, rung) for seed in range(TOGETHER)]
    alone = [work() for work in works]
    assert len({values.shape for values in alone}) == TOGETHER and all(np.isfinite(values).all() for values in alone)
    wrong = [0] * TOGETHER

    def repeat(i):
        for _ in range(50):
            wrong[i] += not np.array_equal(works[i](), alone[i])

    together(*(lambda i=i: repeat(i) for i in range(TOGETHER)))
    assert wrong == [0] * TOGETHER


def test_one_kernel_of_many_threads(one):
    """All threads ask for a kernel that is not made yet, and launch the same one, 200 times in all."""
    kernel, results = [None] * TOGETHER, [None] * TOGETHER
    before, x = type(one).compilations, np.arange(512, dtype=F32)

    def repeat(i):
        kernel[i] = one.kernel(FEATURES, "scale<4>", UNUSED=31)
        given, out = one.array(x + i), one.zeros(512)
        for _ in range(50):
            kernel[i](2, 256, given, out, I32(512))
        results[i] = one.numpy(out)

    together(*(lambda i=i: repeat(i) for i in range(TOGETHER)))
    assert len(set(map(id, kernel))) == 1 and type(one).compilations - before <= 1
    for i, got in enumerate(results):
        assert_equal(got, 4 * (x + i))


def step_of(network, device, z, dy):
    def work():
        network.zero_grads()
        y = device.numpy(network.forward(z))
        network.backward(dy, input_grad=False)
        return y, device.numpy(network.grad)

    return work


def test_two_networks_at_once(one):
    works = []
    for seed in (1, 2):
        network = networks.Generator(20, 3, 4, 16, device=one, random=Random(one, seed))
        z, dy = one.empty((6, 1, 1, 20)), one.empty((6, 16, 16, 3))
        works.append(step_of(network, one, Random(one, 10 + seed).normal(z), Random(one, 20 + seed).normal(dy)))
    alone = [work() for work in works]
    differ = []

    def repeat(i):
        for _ in range(25):
            for got, want in zip(works[i](), alone[i], strict=True):
                if not np.array_equal(got, want):
                    differ.append(i)

    together(lambda: repeat(0), lambda: repeat(1))
    assert not differ


def test_one_network_from_two_threads(one):
    """Each has its own outputs and its own backward; gradients of both add up."""
    network = networks.Discriminator(3, 4, 16, device=one, random=Random(one, 3))
    network.forward(one.zeros((2, 16, 16, 3)), training=False)
    images = [Random(one, 30 + i).normal(one.empty((5 + i, 16, 16, 3))) for i in range(2)]
    dys = [Random(one, 40 + i).normal(one.empty((5 + i, 1, 1, 1))) for i in range(2)]

    def pair(i):
        y = one.numpy(network.forward(images[i], training=False))
        return y, one.numpy(network.backward(dys[i]))

    network.zero_grads()
    alone = [pair(i) for i in range(2)]
    grads, differ = one.numpy(network.grad), []
    network.zero_grads()

    def repeat(i):
        for turn in range(20):
            for got, want in zip(pair(i), alone[i], strict=True):
                if not np.array_equal(got, want):
                    differ.append((i, turn))

    together(lambda: repeat(0), lambda: repeat(1))
    assert not differ
    got = one.numpy(network.grad) / 20
    assert np.linalg.norm(got - grads) <= 1e-5 * np.linalg.norm(grads)  # float32 sums of 40 terms in another order


def test_a_thread_cannot_take_back_the_forward_of_another(one):
    layer = layers.Tanh(device=one)
    x = one.zeros((3, 4))
    together(lambda: layer.forward(x))
    with sentence(r"Tanh\.backward: need one forward before each backward, got none", RuntimeError):
        layer.backward(x)


def test_a_trainer_stepped_by_threads_in_turn(cpu):
    config = Config(image_size=16, features_g=4, features_d=4, batch_size=4, kernels="winograd").resolved("cpu")
    real = Random(cpu, 7).uniform(cpu.empty((4, 16, 16, 3)), -1.0, 1.0)
    alone, shared = Trainer(config, cpu), Trainer(config, cpu)
    want = [alone.step(real) for _ in range(8)]
    got = [shared.step(real) for _ in range(2)]  # the second is captured here
    together(lambda: got.extend(shared.step(real) for _ in range(3)))
    got.append(shared.step(real))
    together(lambda: got.append(shared.step(real)), lambda: got.append(shared.step(real)))
    assert got[:6] == want[:6] and sorted(got[6:]) == sorted(want[6:])
    assert all(np.array_equal(v, shared.state()[k]) for k, v in alone.state().items())


def test_a_graph_belongs_to_the_thread_that_captured_it(one):
    x, out = one.array(np.arange(5, dtype=F32)), one.zeros(5)
    kernel, graphs = one.kernel(FEATURES, "scale<4>"), []
    kernel(1, 32, x, out, I32(5))
    captured, done = threading.Event(), threading.Event()

    def capture():
        graphs.append(one.capture(lambda: kernel(1, 32, x, out, I32(5))))
        captured.set()
        assert done.wait(60)

    thread = threading.Thread(target=capture, name="the first")
    thread.start()
    assert captured.wait(60)
    with sentence(r"graph: launch: need the thread that captured it \(the first\), got MainThread", RuntimeError):
        graphs[0].launch()
    done.set()
    thread.join()
    one.upload(x, np.full(5, 2, F32))
    graphs[0].launch()  # its thread has ended: nobody else uses that scratch
    one.synchronize()
    assert_equal(one.numpy(out), np.full(5, 8, F32))


def test_a_capture_takes_launches_of_its_own_thread_only(one):
    x, mine, other = one.array(np.arange(5, dtype=F32)), one.zeros(5), one.zeros(5)
    kernel = one.kernel(FEATURES, "scale<4>")
    kernel(1, 32, x, mine, I32(5))  # compiled, and loaded
    one.upload(mine, np.zeros(5, F32))

    def work():
        together(lambda: kernel(1, 32, x, other, I32(5)))
        kernel(1, 32, x, mine, I32(5))

    graph = one.capture(work)
    one.synchronize()
    assert_equal(one.numpy(other), 4 * np.arange(5, dtype=F32))
    assert not one.numpy(mine).any()
    one.upload(x, np.ones(5, F32))
    graph.launch()
    one.synchronize()
    assert_equal(one.numpy(mine), np.full(5, 4, F32))
    assert_equal(one.numpy(other), 4 * np.arange(5, dtype=F32))


def test_scratch_of_a_thread(one):
    """The same memory again in one thread, another in each other thread."""
    (first,) = one.scratch(40)
    places = [one.address(first)]
    together(lambda: places.append(one.address(one.scratch(40)[0])))
    assert one.address(one.scratch(40)[0]) == places[0] != places[1]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_fork_while_another_thread_launches(threads):
    device = CpuDevice(threads=threads)
    x, out = device.array(np.arange(4096, dtype=F32)), device.zeros(4096)
    mine, kernel, stop = device.zeros(4096), device.kernel(FEATURES, "scale<4>"), threading.Event()
    kernel(16, 256, x, out, I32(4096))
    graph = device.capture(lambda: [kernel(16, 256, x, out, I32(4096)) for _ in range(20)])

    def launch():
        while not stop.is_set():
            kernel(16, 256, x, out, I32(4096))
            device.kernel(FEATURES, "scale_by_macro", TIMES=3)

    thread = threading.Thread(target=launch)
    thread.start()
    try:
        for number in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # a child that hangs ends by SIGALRM
                os._exit(child_launches(device, kernel, graph, x, mine, number))
            assert ended(child, 30) == 0, f"fork {number}"
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_compiles(monkeypatch):
    device, begun, go_on, parent = CpuDevice(threads=1), threading.Event(), threading.Event(), os.getpid()
    real = device._compile

    def slow(*what):
        if os.getpid() == parent:
            begun.set()
            assert go_on.wait(60)
        return real(*what)

    monkeypatch.setattr(device, "_compile", slow)
    thread = threading.Thread(target=lambda: device.kernel(FEATURES, "scale<4>"))
    thread.start()
    assert begun.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if device.kernel(FEATURES, "scale<4>").symbol == "scale<4>" else 3)
    status = ended(child, 30)
    go_on.set()
    thread.join(60)
    assert status == 0


def child_launches(device, kernel, graph, x, out, number) -> int:
    """Exit code 0: launches in the child are right."""
    try:
        device.upload(x, np.full(4096, number, F32))
        kernel(16, 256, x, out, I32(4096))
        graph.launch()
        device.kernel(FEATURES, "scale_by_macro", TIMES=3)
        return 0 if (out == 4 * number).all() else 3
    except BaseException:
        return 4


def ended(child: int, seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def test_compilations_are_counted():
    code = """
import sys
from dcgan_cupy.device import CpuDevice, Device, RecorderDevice
RecorderDevice("cpu").kernel(sys.argv[1], "halve")
counts = [Device.compilations]
for device in (CpuDevice(threads=1), CpuDevice(threads=1)):
    for symbol in ("halve", "halve", "scale<4>"):
        device.kernel(sys.argv[1], symbol)
        counts.append(Device.compilations)
print(counts)
"""
    done = python(code, FEATURES)
    assert done.stdout == "[0, 1, 1, 2, 3, 3, 4]\n", done.stderr
