"""Images between bytes and floats."""

import numpy as np
import pytest
from helpers import assert_equal
from ops_cases import EPS32, F32, F64, Out, assert_each_close, launch

from dcgan_cupy import ops
from dcgan_cupy import reference as ref


def test_images_to_float_is_exact_for_all_bytes(device):
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    got = launch(device, ops.images_to_float, images, Out((1, 16, 16, 1)))
    assert_equal(got, images.astype(F32) / F32(127.5) - F32(1))  # the same two roundings
    assert_each_close(
        got, ref.images_to_float(images), 0, atol=2 * EPS32
    )  # one of a quotient below 2, one of a difference below 1
    assert got.min() == -1 and got.max() == 1
    back = launch(device, ops.images_to_uint8, got, Out(got.shape, np.uint8))
    assert_equal(back, images)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 7, 3), (2, 9, 4, 1)], ids=str)
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("picked", [False, True])
def test_images_to_float_picks_and_mirrors(device, rng, shape, mirrored, picked):
    images = rng.integers(0, 256, (11, *shape[1:]), np.uint8)
    index = rng.integers(0, 11, shape[0], np.int32) if picked else None
    flip = np.array([1, 0, 255][: shape[0]], np.uint8) if mirrored else None  # anything but 0 mirrors
    chosen = images[index] if picked else images[: shape[0]]
    want = np.stack([image[:, ::-1] if mirrored and flip[i] else image for i, image in enumerate(chosen)])
    got = launch(device, ops.images_to_float, images, Out(shape), index, flip)
    assert_equal(got, want.astype(F32) / F32(127.5) - F32(1))


def test_images_to_uint8_rounds_to_even_and_holds_the_range(device):
    x = [0.0, -0.0, 1.0, -1.0, 1.001, -1.001, 5.0, -5.0, 3e38, -3e38, np.inf, -np.inf, np.nan, -np.nan]
    want = [128, 128, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 0, 0]  # 127.5 is a tie: 128 is the even one
    x += [
        -1 / 127.5,
        1 / 127.5,
        -1 + 2**-8,
        -1 + 3 * 2**-8,
    ]  # 126.5 and 128.5 are ties; 0.498 and 1.494 lie below theirs
    want += [126, 128, 0, 1]
    got = launch(device, ops.images_to_uint8, np.array(x, F32), Out(len(x), np.uint8))
    assert_equal(got, np.array(want, np.uint8))


def test_images_to_uint8_of_random_numbers(device, rng):
    x = rng.uniform(-1.2, 1.2, 4099).astype(F32)
    scaled = x.astype(F64) * 127.5 + 127.5
    clear = (
        np.abs(scaled % 1 - 0.5) > 1e-4
    )  # float32 holds 127.5 in steps of 8e-6: nearer to a tie it may go either way
    assert clear.sum() > 4000
    got = launch(device, ops.images_to_uint8, x, Out(4099, np.uint8))
    assert_equal(got[clear], ref.images_to_uint8(x)[clear])
    assert (np.abs(got - np.clip(scaled, 0, 255)) <= 0.5 + 1e-4).all()
