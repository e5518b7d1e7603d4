"""Batches: each image once an epoch, the same order for one seed wherever the images lie and wherever a run goes on."""

import threading
import time

import numpy as np
import pytest

from dcgan_cupy.errors import UserError
from dcgan_cupy.feed import Batches


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (50, 8, 8, 3), np.uint8)


@pytest.fixture(params=[True, False], ids=["resident", "background"])
def resident(request):
    return request.param


def taken(device, batches, count):
    return [np.rint(device.numpy(batches.next()) * 127.5 + 127.5).astype(np.uint8) for _ in range(count)]


def test_batches_take_each_image_once_an_epoch(device, images, resident):
    batches = Batches(device, images, 8, seed=3, resident=resident)
    assert batches.per_epoch == 6
    epochs = [np.concatenate(taken(device, batches, 6)) for _ in range(2)]
    known = {image.tobytes() for image in images}
    for epoch in epochs:
        got = {image.tobytes() for image in epoch}
        assert len(got) == 48 and got <= known
    assert (epochs[0] != epochs[1]).any()
    assert batches.epoch == 2 and batches.position == 12 and 0 < batches.waited < 10
    batches.close()


def test_batches_are_the_same_wherever_the_images_lie(device, images, tmp_path):
    np.save(tmp_path / "a.npy", images)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    runs = []
    for source, resident in ((images, True), (mapped, True), (images, False), (mapped, False)):
        batches = Batches(device, source, 8, seed=3, flip=True, resident=resident)
        runs.append(np.stack(taken(device, batches, 15)))
        batches.close()
    assert all((run == runs[0]).all() for run in runs)


@pytest.mark.parametrize("position", [1, 6, 7, 13])
def test_batches_go_on_anywhere(device, images, resident, position):
    whole = Batches(device, images, 8, seed=4, flip=True, resident=resident)
    want = taken(device, whole, position + 8)[position:]
    again = Batches(device, images, 8, seed=4, flip=True, resident=resident)
    taken(device, again, 3)  # and back, or far ahead
    again.position = position
    assert (np.stack(taken(device, again, 8)) == np.stack(want)).all()
    whole.close()
    again.close()


def test_batches_mirror_half_of_the_images(device, images, resident):
    batches = Batches(device, images, 10, seed=5, flip=True, resident=resident)
    got = np.concatenate(taken(device, batches, 5))
    plain, mirrored = (
        {image.tobytes() for image in variant} for variant in (images, np.ascontiguousarray(images[:, :, ::-1]))
    )
    flips = [image.tobytes() in mirrored for image in got]
    assert all(image.tobytes() in plain | mirrored for image in got) and 10 < sum(flips) < 40
    batches.close()


def test_batches_read_in_the_background_when_the_device_is_too_small(device, images, monkeypatch):
    monkeypatch.setattr(type(device), "free_bytes", lambda self: 2 * images.nbytes - 1)
    batches = Batches(device, images, 8, seed=0)
    assert not batches.resident and "disk" in batches.place
    monkeypatch.setattr(type(device), "free_bytes", lambda self: 2 * images.nbytes)
    assert Batches(device, images, 8, seed=0).resident
    batches.next()
    before = threading.active_count()
    batches.close()
    assert threading.active_count() == before - 1


def test_batches_lie_ready_while_the_device_works(device, images):
    """A disk that takes 50 ms for a batch, steps of 150 ms:

    Ten batches would cost half a second, were they not read meanwhile.
    """

    class Slow(np.ndarray):
        def take(self, indices, axis, out, mode):
            time.sleep(0.05)
            return np.asarray(self).take(indices, axis=axis, out=out, mode=mode)

    batches = Batches(device, images.view(Slow), 8, seed=0, resident=False)
    batches.next()
    batches.waited = 0.0
    for _ in range(10):
        time.sleep(0.15)
        batches.next()
    batches.close()
    assert batches.waited < 0.25


def test_batches_errors_of_the_reader_reach_the_caller(device):
    class Broken(np.ndarray):
        def take(self, *_, **__):
            raise OSError(5, "the disk is gone")

    broken = np.zeros((20, 8, 8, 3), np.uint8).view(Broken)
    batches = Batches(device, broken, 8, seed=0, resident=False)
    with pytest.raises(OSError, match="the disk is gone"):
        batches.next()


def test_batches_need_enough_images(device, images):
    with pytest.raises(UserError, match="train: --batch-size: need at most the number of images, 50, got 51"):
        Batches(device, images, 51, seed=0)
