"""A plan is what a run then does: the same kernels, the same memory; and how that memory stands beside PyTorch's."""

import tracemalloc

import numpy as np
import pytest
from torch.profiler import ProfilerActivity, profile

from bench.peer import Peer
from dcgan_cupy import ops
from dcgan_cupy.config import Config
from dcgan_cupy.device import CpuDevice, RecorderDevice, host
from dcgan_cupy.preflight import plan
from dcgan_cupy.trainer import Trainer

PICTURES = 9


def config(**settings) -> Config:
    return Config(
        **{"image_size": 16, "features_g": 8, "features_d": 8, "batch_size": 16, "steps": 1, **settings}
    ).resolved("cpu")


def run(device, cfg, steps=1) -> None:
    """What plan() plans."""
    shape = (cfg.batch_size, cfg.image_size, cfg.image_size, cfg.channels)
    real, pixels = device.empty(shape), device.zeros(shape, "uint8")
    ops.images_to_float(device, pixels, real)
    labels, shown = (device.zeros((n,), "int32") if cfg.n_classes else None for n in (cfg.batch_size, PICTURES))
    trainer = Trainer(cfg, device)
    for _ in range(steps):
        trainer.step(real, labels=labels)
    images = trainer.sample(trainer.fixed_z(PICTURES), labels=shown)
    ops.images_to_uint8(device, images, device.empty(images.shape, "uint8"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"kernels": "textbook"},
        {"z": "normal", "loss": "minimax", "channels": 1},
        {"conditional": True, "n_classes": 5},
    ],
    ids=str,
)
def test_plan_names_every_kernel(settings):
    """No more and no fewer than a run of three steps asks for."""
    cfg, device = config(**settings), CpuDevice()
    run(device, cfg, steps=3)
    assert device._kernels.keys() == plan(cfg, "cpu", PICTURES).kernels.keys()


def test_prepared_run_compiles_nothing(monkeypatch):
    cfg, device, done = config(), CpuDevice(), []
    planned = plan(cfg, "cpu", PICTURES)
    device.prepare(planned.kernels, lambda *progress: done.append(progress))
    assert done == [(i + 1, len(planned.kernels)) for i in range(len(planned.kernels))]
    monkeypatch.setattr(host.launch, "build", None)
    run(device, cfg)


def test_plan_knows_the_memory():
    """NumPy's own account of a run: the arrays of the plan, and little else."""
    cfg = config(image_size=32, batch_size=32)
    planned, device = plan(cfg, "cpu", PICTURES), CpuDevice()
    run(device, cfg)  # kernels are loaded, so that only arrays are counted
    device._mine.scratch, device._mine.gradients = None, [None, None]
    tracemalloc.start()
    try:
        run(device, cfg, steps=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    data = 5 * cfg.batch_size * cfg.image_size**2 * cfg.channels  # the batch, as bytes and as floats
    assert (
        planned.bytes > 1e6 and planned.bytes <= peak - data <= planned.bytes + 6e5
    )  # and the list of launches that a step replays


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("features_g, features_d", [(4, 4), (8, 4), (4, 16)])
def test_a_step_makes_no_array_after_the_first(size, features_g, features_d):
    """Not in the second either, which is captured; and the plan's memory is that of any number of steps."""
    cfg = config(image_size=size, features_g=features_g, features_d=features_d)
    device = RecorderDevice("cpu")
    trainer, real = Trainer(cfg, device), device.empty((cfg.batch_size, size, size, 3))
    trainer._launch_step(real, None)
    before, peak = device.allocations, device.peak_bytes
    for _ in range(3):
        trainer._launch_step(real, None)
    assert (device.allocations, device.peak_bytes) == (before, peak)


def test_plan_runs_nothing_and_counts_what_lives():
    device = RecorderDevice("gpu")
    a, b = device.empty((10, 10)), device.empty((7,), "uint8")
    view = a[5:].reshape(50)
    assert device.bytes == device.peak_bytes == 407 and device.address(view) == 200
    del a, b
    assert (device.bytes, device.peak_bytes, device.allocations) == (400, 407, 2)
    ops.fill(device, view, 3.0)
    assert device.kernels == {("elementwise.cu", "fill", ()): {((1, 1, 1), (256, 1, 1), 0)}}
    with pytest.raises(TypeError, match="need a NumPy scalar"):
        device.kernel("elementwise.cu", "fill")(1, 256, view, 3.0, np.int32(50))


@pytest.mark.parametrize("mode", ["eager", "channels_last"])
@pytest.mark.parametrize("features, batch, size", [(16, 64, 32), (32, 64, 32), (16, 64, 64)])
def test_memory_beside_pytorch(features, batch, size, mode):
    """No more than the peak of PyTorch's allocator, both from the networks on to the end of two steps."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        peer = Peer(features, batch, size, mode, "cpu")
        for _ in range(2):
            peer.step()
    now = peak = 0
    for event in sorted(
        (e for e in events.profiler.kineto_results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns()
    ):
        now += event.nbytes()
        peak = max(peak, now)
    assert peak > 1e7
    ours = (
        plan(config(features_g=features, features_d=features, batch_size=batch, image_size=size), "cpu").bytes
        + 4 * peer.real.numel()
    )
    assert ours <= peak
