"""What a training run will ask for, known before it starts: its kernels, and the memory of its arrays."""

from typing import NamedTuple

from . import ops
from .device import RecorderDevice
from .sizes import sides
from .trainer import Trainer
from .workers import Workers


class Plan(NamedTuple):
    """kernels: (file, symbol, macros) -> its launches (grid, block, dynamic shared bytes).

    bytes: the most that lies in arrays at one time, the data's own left out (the batch, the dataset).
    """

    kernels: dict
    bytes: int


def plan(config, kind: str, pictures: int = 1, workers: Workers | None = None) -> Plan:
    """Plans a step, a sample of so many pictures and their way to and from bytes, on a device that runs nothing.

    config: a resolved Config.   kind: "cpu" or "gpu".   workers: this one's number and that of all (it asks none).
    """
    device, workers = RecorderDevice(kind), workers or Workers()
    n = workers.share("train", config.batch_size or 1)
    size = sides(config.image_size)
    assert size is not None  # Config has seen to it
    shape = (n, *size, config.channels)
    real, pixels = device.empty(shape), device.empty(shape, "uint8")
    labels, shown = (device.empty((n,), "int32") if config.n_classes else None for n in (n, pictures))
    data = device.bytes
    ops.images_to_float(device, pixels, real)
    trainer = Trainer(config, device, workers)
    trainer.step(real, labels=labels)
    images = trainer.sample(trainer.fixed_z(pictures), labels=shown)
    ops.images_to_uint8(device, images, device.empty(images.shape, "uint8"))
    if config.ema is not None:
        trainer.sample(trainer.fixed_z(pictures), averaged=True, labels=shown)
    return Plan(device.kernels, device.peak_bytes - data)
