"""Batches on the device: order, mirroring, buffers."""

import numpy as np
import pytest
from helpers import assert_equal
from trainer_cases import one_thread  # noqa: F401

from dcgan_cupy.errors import UserError
from dcgan_cupy.feed import Batches


def marked(count: int, size: int = 4) -> np.ndarray:
    """Images that can be told apart: i in every pixel of image i, but for its left half, which is one more."""
    made = np.empty((count, size, size, 3), np.uint8)
    made[:] = 2 * np.arange(count)[:, None, None, None]
    made[:, :, : size // 2] += 1
    return made


def epoch_of(batches: Batches) -> tuple[list[int], list[bool]]:
    """The numbers of an epoch's images, in order, and which were mirrored; every pixel is checked."""
    numbers, mirrored = [], []
    source, epoch = marked(batches.count), batches.epoch
    for _ in range(batches.per_epoch):
        assert batches.epoch == epoch
        batch = batches.device.numpy(batches.next())
        assert batch.dtype == np.float32 and batch.shape == (batches.batch_size, *source.shape[1:])
        for image in batch:
            value = int(np.rint((image[0, 0, 0] + 1) * 127.5))
            number, flipped = value // 2, value % 2 == 0
            want = source[number, :, ::-1] if flipped else source[number]
            assert np.abs(image - (want / 127.5 - 1.0)).max() < 1e-6  # a few roundings of numbers up to 1 in float32
            numbers.append(number)
            mirrored.append(flipped)
    assert batches.epoch == epoch + 1
    return numbers, mirrored


def test_batches_every_image_once_an_epoch_in_a_new_order(device):
    batches = Batches(device, marked(12), 4, seed=1)
    assert batches.per_epoch == 3
    orders = [epoch_of(batches)[0] for _ in range(4)]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order) for order in [*orders, range(12)]}) == 5


def test_batches_leave_out_a_partial_batch_but_not_always_the_same_images(device):
    batches = Batches(device, marked(11), 4, seed=1)
    orders = [epoch_of(batches)[0] for _ in range(20)]
    assert all(len(order) == len(set(order)) == 8 for order in orders)
    assert set().union(*orders) == set(range(11))
    assert len({frozenset(order) for order in orders}) > 10


def test_batches_same_seed_same_order(device):
    for flip in (False, True):
        one, same, other = (Batches(device, marked(40), 10, seed, flip) for seed in (7, 7, 8))
        epochs = [[epoch_of(batches) for _ in range(3)] for batches in (one, same, other)]
        assert epochs[0] == epochs[1]
        assert all(a[0] != b[0] for a, b in zip(epochs[0], epochs[2]))


def test_batches_flip_mirrors_some(device):
    assert not any(epoch_of(Batches(device, marked(100), 10, seed=0))[1])
    batches = Batches(device, marked(100), 10, seed=0, flip=True)
    for numbers, mirrored in (epoch_of(batches) for _ in range(3)):
        assert (
            sorted(numbers) == list(range(100)) and 25 <= sum(mirrored) <= 75
        )  # 50 plus or minus 5 standard deviations
        assert len({tuple(mirrored[i : i + 10]) for i in range(0, 100, 10)}) == 10  # drawn for each batch
    first, second = (dict(zip(*epoch_of(batches))) for _ in range(2))
    assert 25 <= sum(first[number] != second[number] for number in first) <= 75  # not the same images each time


def test_batches_reuse_one_buffer(device):
    batches = Batches(device, marked(6), 2, seed=0, flip=True)
    before = device.allocations
    assert all(batches.next() is batches.batch for _ in range(7))
    assert device.allocations == before


def test_batches_grey_and_mapped(device, tmp_path):
    """One channel; images in a file that is mapped, as the cache gives them."""
    np.save(tmp_path / "images.npy", marked(4)[..., :1])
    batches = Batches(device, np.load(tmp_path / "images.npy", mmap_mode="r"), 4, seed=0)
    batch = np.rint((device.numpy(batches.next()) + 1) * 127.5)
    assert_equal(np.sort(batch[:, 0, 0, 0]), np.array([1, 3, 5, 7]), "grey")


def test_batches_larger_than_the_dataset(device):
    with pytest.raises(UserError, match=r"^train: --batch-size: need at most the number of images, 5, got 6$"):
        Batches(device, marked(5), 6, seed=0)
    assert sorted(epoch_of(Batches(device, marked(5), 5, seed=0))[0]) == list(range(5))
