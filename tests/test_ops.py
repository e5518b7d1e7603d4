"""Every function of ops.py against reference.py: shapes that fit no block, guarded memory, values at the edges, and errors."""

import ctypes
import zlib

import helpers
import numpy as np
import pytest
from helpers import assert_close, assert_equal, integers, normal

from dcgan_cupy import choices, losses, ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError
from dcgan_cupy.ops.check import INDEX_LIMIT, same_size
from dcgan_cupy.ops.tiles import BLOCK
from dcgan_cupy.optim import Adam
from dcgan_cupy.random import Random

F32, F64 = np.float32, np.float64
EPS32 = 2.0**-24  # the most that rounding to float32 changes a number, relative

# float32 sums of up to some 2,000 terms of either sign, added one after the other, against float64: the rounding errors
# add like a random walk, about sqrt(terms) * EPS32 / 2 of the norm, at most 1.3e-6. A wrong index is off by order 1.
SUM_RTOL = 2e-6


# Launching: every array lies between guards


class Out:
    """An argument that is written only: poisoned before the launch."""

    def __init__(self, shape, dtype=F32):
        self.shape, self.dtype = shape, np.dtype(dtype)


class Updated:
    """An argument that is read and written: holds `values` before the launch."""

    def __init__(self, values):
        self.shape, self.dtype, self.values = values.shape, values.dtype, values


def memory_for(device, argument, offset):
    """Memory on the device for one argument: (array, check), laid out by helpers.guarded: poison inside, guards around.

    Guards differ, so that a thread past the end cannot happen to write what is there already: NaN around outputs, another NaN
    around inputs (a read there shows in the result), -0.0 around what is added to (NaN + x keeps its bits; -0.0 + 0.0 is 0.0).
    """
    host, check_host = helpers.guarded(int(np.prod(argument.shape)) + offset, argument.dtype)
    raw = host.base
    raw = raw[-raw.ctypes.data % 256 :]  # guard, array, guard: bytes
    start = host.ctypes.data - raw.ctypes.data
    stop = start + host.nbytes
    if isinstance(argument, np.ndarray):
        raw[:: host.itemsize] ^= 1  # the lowest bit of each element
        host[offset:] = argument.ravel()
    elif isinstance(argument, Updated):
        raw[:start] = raw[stop:] = 0
        raw[3:start:4] = raw[stop + 3 :: 4] = 0x80
        host[offset:] = argument.values.ravel()
    everything = device.array(raw)
    before = raw.tobytes()

    def check():
        raw[:] = device.numpy(everything)
        after = raw.tobytes()
        if isinstance(argument, Out):
            check_host()
        elif isinstance(argument, np.ndarray):
            assert after == before, "an input was changed"
        assert after[:start] + after[stop:] == before[:start] + before[stop:], "a guard was overwritten"

    return everything[start:stop].view(argument.dtype)[offset:].reshape(argument.shape), check


def launch(device, op, *arguments, offset=0):
    """op(device, *arguments) with every array in guarded memory; returns what it wrote into Out and Updated, in order.

    NumPy arrays are inputs, and must be the same bit for bit afterwards. The same object given twice is the same memory.
    Arrays start `offset` elements behind a 64-byte boundary.
    """
    placed, checks, outputs = {}, [], []

    def place(argument):
        if not isinstance(argument, Out | Updated | np.ndarray):
            return argument
        if id(argument) not in placed:
            placed[id(argument)], check = memory_for(device, argument, offset)
            checks.append(check)
            if not isinstance(argument, np.ndarray):
                outputs.append(placed[id(argument)])
        return placed[id(argument)]

    op(device, *map(place, arguments))
    for check in checks:
        check()
    results = [device.numpy(array) for array in outputs]
    return results[0] if len(results) == 1 else results


def assert_each_close(got, want, rtol, atol=0.0):
    """|got - want| <= rtol * |want| + atol in every element: for functions of one number, where small results matter too."""
    want = np.asarray(want, F64)
    assert got.shape == want.shape and want.size
    assert np.isfinite(want).all() and np.isfinite(got).all()
    excess = np.abs(got - want) - (rtol * np.abs(want) + atol)
    at = np.unravel_index(np.argmax(excess), want.shape)
    assert excess[at] <= 0, f"{at}: got {got[at]!r}, want {want[at]!r}, allowed {rtol:.3g} * |want| + {atol:.3g}"


def test_launch_sees_what_is_written_and_read_outside(device, rng):
    """The harness above, proved on launches that are wrong on purpose: some arrays are one element longer than they are."""
    x, n = normal(rng, 10), 10

    def longer(array, before=0):  # the same memory, and one element of the guard
        if device.kind == "cpu":
            return np.ctypeslib.as_array((ctypes.c_float * (n + 1)).from_address(array.ctypes.data - 4 * before))
        start = array.data.ptr - array.base.data.ptr - 4 * before
        return array.base[start : start + 4 * (n + 1)].view(F32)

    with pytest.raises(AssertionError, match="1 guards overwritten, first 0 behind the end"):
        launch(device, lambda dev, y: ops.fill(dev, longer(y), 1.0), Out(n))
    with pytest.raises(AssertionError, match="1 guards overwritten, first 1 before the start"):
        launch(device, lambda dev, y: ops.fill(dev, longer(y, before=1), 1.0), Out(n))
    with pytest.raises(AssertionError, match="1 guards overwritten"):  # a NaN copied onto a NaN
        launch(device, lambda dev, x, y: ops.relu_forward(dev, longer(x), longer(y)), x, Out(n))
    with pytest.raises(AssertionError, match="a guard was overwritten"):
        launch(device, lambda dev, x, y: ops.add(dev, longer(x), longer(y)), x, Updated(x.copy()))
    with pytest.raises(AssertionError, match="an input was changed"):
        launch(device, lambda dev, x, y: ops.add(dev, y, x), x, Updated(x.copy()))
    got = launch(device, lambda dev, y: ops.fill(dev, y[:-1], 0.0), Out(n))
    assert np.isnan(got[-1])  # what nothing wrote stays poisoned
    got = launch(device, lambda dev, x, y: ops.relu_forward(dev, longer(x)[1:], y), x, Out(n))
    assert np.isnan(got[-1])  # and a read behind the end of an input meets NaN


# Element by element

SIZES = [
    1,
    2,
    255,
    256,
    257,
    3 * 5 * 7 * 11,
]  # one thread, a block less one, one block, a block and one, no multiple of 32
MANY_BLOCKS = 2**16 * 256 + 77  # more blocks than the y and z axes of a grid can hold

ACTIVATIONS = {  # name: (op, constants of op, reference, tolerance of the forward; None: exact)
    "relu": ((), None),
    "leaky_relu": ((0.2,), None),
    "tanh": ((), 4 * EPS32),  # CUDA's manual: tanhf within 2 units in the last place, each 2 * EPS32
    "sigmoid": ((), 8 * EPS32),  # expf within 2 units, then a sum and a quotient, each rounded
}


def activation(name, direction):
    constants, rtol = ACTIVATIONS[name]
    return getattr(ops, f"{name}_{direction}"), constants, getattr(ref, f"{name}_{direction}"), rtol


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_forward(device, rng, name, size):
    op, constants, reference, rtol = activation(name, "forward")
    x = 3 * normal(rng, size)
    got = launch(device, op, x, Out(size), *constants)
    if rtol is None:
        assert_equal(
            got, reference(x, *map(F32, constants)).astype(F32)
        )  # one product at most, rounded once on both sides
    else:
        assert_each_close(got, reference(x), rtol)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward(device, rng, name, size):
    op, constants, reference, rtol = activation(name, "backward")
    y, dy = normal(rng, size), normal(rng, size)
    if rtol is not None:
        y = np.tanh(y) if name == "tanh" else np.abs(np.tanh(y))
    y[rng.random(size) < 0.1] = 0.0  # the gradient of relu at 0 is 0, of leaky_relu the slope
    got = launch(device, op, y, dy, Out(size), *constants)
    if rtol is None:
        assert_equal(got, reference(dy, y, *map(F32, constants)).astype(F32))
    else:
        # 1 - y^2 and 1 - y lose digits where |y| is near 1: an absolute error of a few roundings of dy
        assert_each_close(got, reference(dy, y), 4 * EPS32, atol=4 * EPS32 * np.abs(dy).max())


def test_leaky_relu_takes_any_positive_slope(device, rng):
    x = normal(rng, 300)
    for slope in (0.01, 1.0, 2.5):
        y = launch(device, ops.leaky_relu_forward, x, Out(300), slope)
        assert_equal(y, ref.leaky_relu_forward(x, F32(slope)).astype(F32))
        got = launch(device, ops.leaky_relu_backward, y, x, Out(300), slope)
        assert_equal(got, ref.leaky_relu_backward(x, y, F32(slope)).astype(F32))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_work_in_place(device, rng, name):
    """`aliasing` of activations.cu: y may be x, dx may be dy."""
    x, y, dy = normal(rng, 1000), np.tanh(normal(rng, 1000)), normal(rng, 1000)
    forward, constants, *_ = activation(name, "forward")
    backward = activation(name, "backward")[0]
    both, gradient = Updated(x), Updated(dy)
    assert_equal(launch(device, forward, both, both, *constants), launch(device, forward, x, Out(1000), *constants))
    in_place = launch(device, backward, y, gradient, gradient, *constants)
    assert_equal(in_place, launch(device, backward, y, dy, Out(1000), *constants))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_and_infinity_pass_through_activations(device, name):
    """A network that has gone wrong must say so: NaN is never turned into a number."""
    op, constants, *_ = activation(name, "forward")
    x = np.array([np.nan, 1.0, -np.nan, np.inf, -np.inf], F32)
    y = launch(device, op, x, Out(5), *constants)
    assert np.isnan(y[[0, 2]]).all() and np.isfinite(y[1])
    at_infinity = {"relu": (np.inf, 0), "leaky_relu": (np.inf, -np.inf), "tanh": (1, -1), "sigmoid": (1, 0)}
    assert_equal(y[3:], np.array(at_infinity[name], F32))

    backward = activation(name, "backward")[0]
    ones = np.ones(2, F32)
    assert np.isnan(launch(device, backward, ones / 2, ones * F32("nan"), Out(2), *constants)).all()


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_squashing_functions_far_out(device, name):
    """Saturated, or so small that the result is nearly x: every element within its tolerance of float64."""
    op, constants, reference, rtol = activation(name, "forward")
    x = np.array(
        [0.0, 1e-30, -1e-30, 1e-4, -1e-4, 9.0, -9.0, 20.0, -20.0, 87.0, -87.0, 200.0, -200.0, 3e38, -3e38], F32
    )
    # sigmoid(-87) is 1.6e-38, just a normal number; below it results may be flushed to 0: 1.2e-38
    assert_each_close(launch(device, op, x, Out(15), *constants), reference(x), rtol, atol=1.2e-38)


@pytest.mark.parametrize("size", SIZES)
def test_fill(device, size):
    assert_equal(launch(device, ops.fill, Out(size), -1.25), np.full(size, -1.25, F32))


@pytest.mark.parametrize("size", SIZES)
def test_add(device, rng, size):
    x, y = normal(rng, size), normal(rng, size)
    assert_equal(launch(device, ops.add, x, Updated(y)), x + y)


def test_add_to_itself_doubles(device, rng):
    x = normal(rng, 1000)
    both = Updated(x)
    assert_equal(launch(device, ops.add, both, both), 2 * x)


def test_more_blocks_than_a_grid_axis_of_16_bits(device, rng):
    x = integers(rng, MANY_BLOCKS)
    assert_equal(launch(device, ops.relu_forward, x, Out(MANY_BLOCKS)), np.maximum(x, 0))
    assert_equal(launch(device, ops.fill, Out(MANY_BLOCKS), 3.0), np.full(MANY_BLOCKS, 3, F32))


def test_empty_arrays_are_left_alone(device):
    for op, count, constants in (
        (ops.fill, 1, (1.0,)),
        (ops.add, 2, ()),
        (ops.relu_forward, 2, ()),
        (ops.relu_backward, 3, ()),
    ):
        op(device, *(device.empty((0, 3)) for _ in range(count)), *constants)


# Images


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


# Convolution


def case(n, hw, ic, oc, kernel, stride, padding, output_padding=(0, 0)):
    return {
        "n": n, "h": hw[0], "w": hw[1], "ic": ic, "oc": oc, "kh": kernel[0], "kw": kernel[1],
        "stride": stride, "padding": padding, "output_padding": output_padding,
    }  # fmt: skip


CONV_CASES = {
    "one-pixel": case(1, (1, 1), 1, 1, (1, 1), (1, 1), (0, 0)),
    "one-pixel-wide-kernel": case(1, (1, 1), 2, 3, (3, 5), (2, 3), (1, 2)),
    "dcgan-first": case(2, (16, 12), 3, 8, (4, 4), (2, 2), (1, 1)),
    "dcgan-middle": case(3, (8, 8), 16, 32, (4, 4), (2, 2), (1, 1)),
    "dcgan-last": case(3, (4, 4), 33, 1, (4, 4), (2, 2), (0, 0)),
    "no-block-divides": case(3, (13, 19), 37, 67, (3, 2), (2, 1), (1, 0)),
    "pixels-no-window-reaches": case(2, (9, 11), 2, 3, (2, 3), (4, 5), (0, 1)),
    "stride-beyond-kernel": case(1, (7, 10), 2, 2, (1, 2), (3, 4), (0, 0)),
    "padding-beyond-kernel": case(2, (3, 2), 2, 2, (1, 2), (1, 3), (2, 3)),
}
TRANSPOSED_CASES = {
    "one-pixel": case(1, (1, 1), 1, 1, (1, 1), (1, 1), (0, 0)),
    "dcgan-first": case(3, (1, 1), 10, 33, (4, 4), (1, 1), (0, 0)),
    "dcgan-middle": case(2, (4, 5), 32, 16, (4, 4), (2, 2), (1, 1)),
    "dcgan-last": case(2, (8, 6), 16, 3, (4, 4), (2, 2), (1, 1)),
    "no-block-divides": case(3, (7, 10), 37, 67, (3, 5), (2, 1), (1, 0), (1, 0)),
    "one-column": case(1, (5, 1), 2, 3, (3, 4), (3, 1), (1, 0), (2, 0)),
    "holes-between-windows": case(2, (3, 4), 2, 3, (1, 2), (4, 3), (0, 0), (3, 1)),
    "cropped": case(2, (6, 5), 2, 3, (2, 1), (2, 3), (3, 2)),  # p' = k-p-1 is negative
    "cropped-and-output-padded": case(2, (6, 5), 2, 3, (1, 2), (3, 2), (2, 3), (2, 1)),
}


def shapes(transposed, draws=44):
    """The named cases and some drawn ones."""
    named = TRANSPOSED_CASES if transposed else CONV_CASES
    rng = np.random.default_rng(40 + transposed)
    every = named | {f"drawn-{i}": helpers.draw_conv_shape(rng, transposed) for i in range(draws)}
    return pytest.mark.parametrize("shape", every.values(), ids=every.keys())


every_rung = pytest.mark.parametrize("rung", list(choices.RUNGS))


def conv_arrays(rng, s, draw):
    """x, w, b and dy of a convolution, drawn by draw(rng, shape)."""
    oh, ow = ref.conv2d_output_size((s["h"], s["w"]), (s["kh"], s["kw"]), s["stride"], s["padding"])
    x, w = draw(rng, (s["n"], s["h"], s["w"], s["ic"])), draw(rng, (s["kh"], s["kw"], s["ic"], s["oc"]))
    return x, w, draw(rng, s["oc"]), draw(rng, (s["n"], oh, ow, s["oc"]))


def transposed_arrays(rng, s, draw):
    """x, w, b and the shape of y of a transposed convolution, drawn by draw(rng, shape)."""
    sizes = (s["h"], s["w"]), (s["kh"], s["kw"]), s["stride"], s["padding"], s["output_padding"]
    x, w = draw(rng, (s["n"], s["h"], s["w"], s["ic"])), draw(rng, (s["kh"], s["kw"], s["oc"], s["ic"]))
    return x, w, draw(rng, s["oc"]), (s["n"], *ref.conv_transpose2d_output_size(*sizes), s["oc"])


@every_rung
@shapes(transposed=False)
def test_conv2d_forward_exact(device, rng, shape, rung):
    x, w, b, dy = conv_arrays(rng, shape, integers)
    where = shape["stride"], shape["padding"]
    for bias in (None, b):
        got = launch(device, ops.conv2d_forward, x, w, bias, Out(dy.shape), *where, rung)
        assert_equal(got, ref.conv2d_forward(x, w, bias, *where))


@every_rung
@shapes(transposed=False)
def test_conv2d_backward_input_exact(device, rng, shape, rung):
    x, w, _, dy = conv_arrays(rng, shape, integers)
    where = shape["stride"], shape["padding"]
    got = launch(device, ops.conv2d_backward_input, dy, w, None, Out(x.shape), *where, rung)
    assert_equal(got, ref.conv2d_backward_input(dy, w, x.shape[1:3], *where))


@every_rung
@shapes(transposed=False)
def test_conv2d_backward_weight_exact_and_added(device, rng, shape, rung):
    x, w, _, dy = conv_arrays(rng, shape, integers)
    where = shape["stride"], shape["padding"]
    got = launch(device, ops.conv2d_backward_weight, x, dy, Updated(w), *where, rung)
    assert_equal(got, w + ref.conv2d_backward_weight(x, dy, w.shape[:2], *where))


@shapes(transposed=False)
def test_conv2d_backward_bias_exact_and_added(device, rng, shape):
    _, _, b, dy = conv_arrays(rng, shape, integers)
    assert_equal(launch(device, ops.conv2d_backward_bias, dy, Updated(b)), b + ref.conv2d_backward_bias(dy))


@every_rung
@shapes(transposed=True)
def test_conv_transpose2d_four_steps_equal_direct(device, rng, shape, rung):
    """Zeros inserted, padded, flipped, convolved: the same numbers as the convolution's input gradient, bias included."""
    s = shape
    x, w, b, y_shape = transposed_arrays(rng, s, integers)
    kernel, stride, padding, output_padding = (s["kh"], s["kw"]), s["stride"], s["padding"], s["output_padding"]
    sizes = zip(x.shape[1:3], kernel, stride, padding, output_padding)
    z_shape = (s["n"], *(ops.zero_insert_size(*v) for v in sizes), s["ic"])
    z = launch(device, ops.zero_insert, x, Out(z_shape), kernel, stride, padding)
    assert_equal(z, ref.zero_insert(x, kernel, stride, padding, output_padding))
    flipped = launch(device, ops.flip_kernel, w, Out((*kernel, s["ic"], s["oc"])))
    assert_equal(flipped, ref.flip_kernel(w))
    for bias in (None, b):
        want = ref.conv_transpose2d_forward(x, w, bias, stride, padding, output_padding)
        four_steps = launch(device, ops.conv2d_forward, z, flipped, bias, Out(y_shape), (1, 1), (0, 0), rung)
        direct = launch(device, ops.conv2d_backward_input, x, w, bias, Out(y_shape), stride, padding, rung)
        assert_equal(four_steps, want, "four steps")
        assert_equal(direct, want, "direct")


@every_rung
@shapes(transposed=True, draws=10)
def test_conv_transpose2d_gradients_are_the_convolutions(device, rng, shape, rung):
    """backward_input = conv2d_forward, and backward_weight = the same sum with x and dy exchanged."""
    x, w, b, y_shape = transposed_arrays(rng, shape, integers)
    dy, where = integers(rng, y_shape), (shape["stride"], shape["padding"])
    dx = launch(device, ops.conv2d_forward, dy, w, None, Out(x.shape), *where, rung)
    assert_equal(dx, ref.conv_transpose2d_backward_input(dy, w, x.shape[1:3], *where))
    dw = launch(device, ops.conv2d_backward_weight, dy, x, Updated(w), *where, rung)
    assert_equal(dw, w + ref.conv_transpose2d_backward_weight(x, dy, w.shape[:2], *where))
    assert_equal(launch(device, ops.conv2d_backward_bias, dy, Updated(b)), b + ref.conv2d_backward_bias(dy))


@every_rung
@shapes(transposed=False, draws=0)
def test_conv2d_of_random_numbers(device, rng, shape, rung):
    x, w, b, dy = conv_arrays(rng, shape, normal)
    where = shape["stride"], shape["padding"]
    y = launch(device, ops.conv2d_forward, x, w, b, Out(dy.shape), *where, rung)
    assert_close(y, ref.conv2d_forward(x, w, b, *where), SUM_RTOL, "y")
    dx = launch(device, ops.conv2d_backward_input, dy, w, None, Out(x.shape), *where, rung)
    assert_close(dx, ref.conv2d_backward_input(dy, w, x.shape[1:3], *where), SUM_RTOL, "dx")
    dw = launch(device, ops.conv2d_backward_weight, x, dy, Updated(w), *where, rung)
    assert_close(dw, w + ref.conv2d_backward_weight(x, dy, w.shape[:2], *where), SUM_RTOL, "dw")
    db = launch(device, ops.conv2d_backward_bias, dy, Updated(b))
    assert_close(db, b + ref.conv2d_backward_bias(dy), SUM_RTOL, "db")


@every_rung
@pytest.mark.parametrize("offset", [1, 2])
def test_conv2d_of_arrays_on_odd_addresses(device, rng, rung, offset):
    """A wide load needs its address to be a multiple of its width; an array may start anywhere."""
    s = CONV_CASES["dcgan-middle"]
    x, w, b, dy = conv_arrays(rng, s, integers)
    where = s["stride"], s["padding"]
    y = launch(device, ops.conv2d_forward, x, w, b, Out(dy.shape), *where, rung, offset=offset)
    assert_equal(y, ref.conv2d_forward(x, w, b, *where))
    dx = launch(device, ops.conv2d_backward_input, dy, w, None, Out(x.shape), *where, rung, offset=offset)
    assert_equal(dx, ref.conv2d_backward_input(dy, w, x.shape[1:3], *where))
    dw = launch(device, ops.conv2d_backward_weight, x, dy, Updated(w), *where, rung, offset=offset)
    assert_equal(dw, w + ref.conv2d_backward_weight(x, dy, w.shape[:2], *where))


@every_rung
def test_conv2d_carries_nan_to_the_outputs_that_see_it(device, rng, rung):
    """And to no other: a tap outside the image is skipped, not multiplied by zero."""
    x, w, b, dy = conv_arrays(rng, CONV_CASES["dcgan-first"], integers)
    x[1, 0, 0, 2] = np.nan
    y = launch(device, ops.conv2d_forward, x, w, b, Out(dy.shape), (2, 2), (1, 1), rung)
    bad = np.isnan(ref.conv2d_forward(x, w, b, (2, 2), (1, 1)))
    assert bad.any() and not bad.all()
    assert_equal(np.isnan(y), bad)


def test_conv2d_output_sizes():
    assert ops.conv2d_output_size("here", 7, 3, 2, 0) == 3
    assert ops.conv_transpose2d_output_size("here", 4, 4, 2, 1, 1) == 9
    with pytest.raises(
        UserError, match=r"^here: x: need a height and width of at least 2 \(kernel 4, padding 1\), got 1$"
    ):
        ops.conv2d_output_size("here", 1, 4, 2, 1)
    with pytest.raises(
        UserError, match=r"^here: x: need an output of at least 1 pixel, got -1 from size 1, kernel 1, stride 1, "
    ):
        ops.conv_transpose2d_output_size("here", 1, 1, 1, 1, 0)


# Batch normalisation

BN_SHAPES = [
    (2, 1),
    (3, 1, 1, 5),
    (1, 3, 5, 33),
    (5, 7, 3, 64),
    (2, 9, 6, 70),
    (1037, 3),
]  # rows and channels no block divides
every_bn_shape = pytest.mark.parametrize("shape", BN_SHAPES, ids=str)

# A mean of some hundred rows, then a difference, a quotient and a product: a handful of roundings of numbers near 1.
BN_RTOL = 1e-6
FUSED_RTOL = 4e-6  # one pass counts from the first value: where that lies k deviations off, roundings weigh 1 + k^2 times as much


def bn_arrays(rng, shape, mean=0.5):
    c = shape[-1]
    x = (2 * rng.standard_normal(shape) + mean).astype(F32)
    gamma, beta, running_mean = normal(rng, c), normal(rng, c), normal(rng, c)
    return x, gamma, beta, running_mean, rng.uniform(0.5, 2, c).astype(F32)


def bn_statistics(device, x, running_mean, running_var, momentum=0.1, batches=6):
    c = x.shape[-1]
    count = Updated(np.array([batches], np.int64))
    return launch(
        device,
        ops.batchnorm_statistics,
        x,
        Out(c),
        Out(c),
        Updated(running_mean),
        Updated(running_var),
        count,
        momentum,
    )


def check_statistics(x, got, want, running_mean, running_var):
    """mean and the new running statistics, each a sum that may cancel: a few roundings of the numbers that it adds."""
    for g, w, added in zip(got, want, (x, np.concatenate([x.ravel(), running_mean]), running_var), strict=True):
        assert_each_close(g, w, FUSED_RTOL, atol=4 * EPS32 * np.abs(added).max())


@every_bn_shape
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_batchnorm_statistics(device, rng, shape, momentum):
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    mean, var, new_mean, new_var, count = bn_statistics(device, x, running_mean, running_var, momentum)
    _, want_mean, want_var, *running = ref.batchnorm_forward_train(
        x, gamma, beta, running_mean, running_var, momentum=momentum
    )
    check_statistics(x, (mean, new_mean, new_var), (want_mean, *running), running_mean, running_var)
    assert_close(var, want_var, BN_RTOL, "var")
    assert_equal(count, np.array([7]))


def test_batchnorm_statistics_of_integers_are_exact(device, rng):
    """64 rows whose sum divides by 64: the mean, each difference and the variance are exact in float32."""
    half = integers(rng, (32, 45), -8, 8)
    x = np.concatenate([half, -half]) + F32(16)
    mean, var, *_ = bn_statistics(device, x, np.zeros(45, F32), np.ones(45, F32))
    assert_equal(mean, np.full(45, 16.0))
    assert_equal(var, np.square(x.astype(F64) - 16).mean(0))


def test_batchnorm_survives_a_large_mean(device, rng):
    """Mean 1e4, deviation 1. By sum(x^2) - sum(x)^2 / n the variance would be off by 1 or more."""
    shape, c = (16, 12, 13, 35), 35
    x, gamma, beta, zeros, ones = (
        (1e4 + rng.standard_normal(shape)).astype(F32),
        *np.ones((2, c), F32),
        np.zeros(c, F32),
        np.ones(c, F32),
    )
    mean, var, _, new_var, _ = bn_statistics(device, x, zeros, ones, momentum=1.0)
    y, want_mean, want_var, _, want_new_var = ref.batchnorm_forward_train(x, gamma, beta, zeros, ones, momentum=1.0)
    assert_each_close(mean, want_mean, 2 * EPS32)  # correct to the last place of a float32
    assert_close(var, want_var, BN_RTOL, "var")  # float32 holds these x in steps of 1e-3, but their differences exactly
    assert_close(new_var, want_new_var, BN_RTOL, "running_var")
    got = launch(device, ops.batchnorm_forward, x, mean, var, gamma, beta, Out(shape), 1e-5)
    assert_each_close(got, y, 1e-5, atol=1.1e-3)  # the mean is rounded to a float32, a step of which is 1e-3 here


def test_batchnorm_of_a_constant_channel_has_variance_zero(device):
    x = np.full((37, 3), 7.1, F32)
    mean, var, *_ = bn_statistics(device, x, np.zeros(3, F32), np.ones(3, F32))
    assert_each_close(mean, np.full(3, x[0, 0], F64), 2 * EPS32)
    assert ((var >= 0) & (var < 1e-12)).all()  # never below 0, however the mean was rounded
    y = launch(device, ops.batchnorm_forward, x, mean, var, np.ones(3, F32), np.zeros(3, F32), Out(x.shape), 1e-5)
    assert np.abs(y).max() < 1e-3  # a rounding of 7.1, 5e-7, times 1 / sqrt(1e-5) = 316


def test_batchnorm_carries_nan_to_its_channel_only(device, rng):
    x, _, _, running_mean, running_var = bn_arrays(rng, (3, 4, 5, 6))
    x[1, 2, 3, 4] = np.nan
    mean, _, new_mean, _, _ = bn_statistics(device, x, running_mean, running_var)
    bad = np.arange(6) == 4
    assert_equal(np.isnan(mean), bad)
    assert_equal(np.isnan(new_mean), bad)


@every_bn_shape
def test_batchnorm_forward(device, rng, shape):
    x, gamma, beta, mean, var = bn_arrays(rng, shape)
    got = launch(device, ops.batchnorm_forward, x, mean, var, gamma, beta, Out(shape), 1e-5)
    assert_close(got, ref.batchnorm_forward_eval(x, gamma, beta, mean, var), BN_RTOL)
    both = Updated(x)
    assert_equal(launch(device, ops.batchnorm_forward, both, mean, var, gamma, beta, both, 1e-5), got)  # y may be x


def test_batchnorm_forward_uses_eps(device, rng):
    x, gamma, beta, mean, _ = bn_arrays(rng, (9, 5))
    got = launch(device, ops.batchnorm_forward, x, mean, np.zeros(5, F32), gamma, beta, Out(x.shape), 0.25)
    assert_close(got, ref.batchnorm_forward_eval(x, gamma, beta, mean, np.zeros(5), eps=0.25), BN_RTOL)


@every_bn_shape
@pytest.mark.parametrize("training", [True, False])
def test_batchnorm_backward(device, rng, shape, training):
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    dy, c = normal(rng, shape), shape[-1]
    mean, var = running_mean, running_var
    if training:
        mean, var = (a.astype(F32) for a in ref.batchnorm_forward_train(x, gamma, beta, running_mean, running_var)[1:3])
    backward = ref.batchnorm_backward_train if training else ref.batchnorm_backward_eval
    dx, dgamma, dbeta = backward(dy, x, gamma, mean, var)

    sum_dy, sum_dy_xhat = launch(device, ops.batchnorm_backward_sums, x, dy, mean, var, Out(c), Out(c), 1e-5)
    assert_close(sum_dy, dbeta, SUM_RTOL, "sum_dy")
    assert_close(sum_dy_xhat, dgamma, SUM_RTOL, "sum_dy_xhat")
    sums = (sum_dy, sum_dy_xhat) if training else (None, None)
    got = launch(device, ops.batchnorm_backward_input, x, dy, mean, var, gamma, *sums, Out(shape), 1e-5)
    # In training the three terms all but cancel where a channel has 2 or 3 values: what is left is compared with dy's size
    scale = np.linalg.norm(dy * gamma / np.sqrt(var + 1e-5))
    assert np.isfinite(got).all() and np.linalg.norm(got - dx) <= 2 * BN_RTOL * scale
    both = Updated(dy)
    in_place = launch(device, ops.batchnorm_backward_input, x, both, mean, var, gamma, *sums, both, 1e-5)
    assert_equal(in_place, got)  # dx may be dy


# Batch normalisation and the activation behind it: y = p where p > 0, else slope * p, with p = BN(x)

# Each number of channels is a kernel of its own to compile
every_fused_shape = pytest.mark.parametrize("shape", [(2, 1), (1, 3, 5, 33), (5, 7, 3, 64), (1037, 3)], ids=str)
every_slope = pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])


def bn_fused(rng, shape, training):
    """x, dy, gamma, beta and mean, rstd, scale as the fused kernels take them; dy is 0 where p is too near 0 to trust its sign."""
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    mean, var = running_mean, running_var
    if training:
        mean, var = ref.batchnorm_forward_train(x, gamma, beta, running_mean, running_var)[1:3]
    p = ref.batchnorm_forward_eval(x, gamma, beta, mean, var)
    dy = normal(rng, shape) * (np.abs(p) > 1e-5).astype(F32)
    rstd = 1 / np.sqrt(var + 1e-5)
    return x, dy, gamma, beta, mean.astype(F32), var, rstd.astype(F32), (gamma * rstd).astype(F32), p


@every_fused_shape
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_batchnorm_batch(device, rng, shape, momentum):
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    c, count = shape[-1], Updated(np.array([6], np.int64))
    mean, rstd, scale, new_mean, new_var, batches = launch(
        device,
        ops.batchnorm_batch,
        x,
        gamma,
        Out(c),
        Out(c),
        Out(c),
        Updated(running_mean),
        Updated(running_var),
        count,
        momentum,
        1e-5,
    )
    _, want_mean, var, *running = ref.batchnorm_forward_train(
        x, gamma, beta, running_mean, running_var, momentum=momentum
    )
    check_statistics(x, (mean, new_mean, new_var), (want_mean, *running), running_mean, running_var)
    assert_close(rstd, 1 / np.sqrt(var + 1e-5), FUSED_RTOL, "rstd")
    assert_close(scale, gamma / np.sqrt(var + 1e-5), FUSED_RTOL, "scale")
    assert_equal(batches, np.array([7]))


def test_batchnorm_batch_survives_a_large_mean(device, rng):
    """As above, in one pass over x, whose 16 parts are joined by their means: each is rounded to 1e-3, a step of a float32
    here, and differs from the next by 0.1. What is left is 1e-4 of the variance; sum(x^2) - sum(x)^2 / n would leave none.
    """
    x, c = (1e4 + rng.standard_normal((16, 12, 13, 35))).astype(F32), 35
    zeros, ones, count = np.zeros(c, F32), np.ones(c, F32), Updated(np.zeros(1, np.int64))
    mean, rstd, _, _, new_var, _ = launch(
        device, ops.batchnorm_batch, x, ones, Out(c), Out(c), Out(c), Updated(zeros), Updated(ones), count, 1.0, 1e-5
    )
    _, want_mean, want_var, _, want_new_var = ref.batchnorm_forward_train(x, ones, zeros, zeros, ones, momentum=1.0)
    assert_each_close(mean, want_mean, 8 * EPS32)
    assert_each_close(rstd, 1 / np.sqrt(want_var + 1e-5), 2e-4)
    assert_each_close(new_var, want_new_var, 4e-4)


def test_batchnorm_batch_at_the_edges(device, rng):
    """A constant channel has variance 0; NaN stays in its channel."""
    x = np.full((37, 4), 7.1, F32)
    x[:, 1] = normal(rng, 37)
    x[5, 2] = np.nan
    zeros, ones, count = np.zeros(4, F32), np.ones(4, F32), Updated(np.zeros(1, np.int64))
    mean, rstd, *_ = launch(
        device, ops.batchnorm_batch, x, ones, Out(4), Out(4), Out(4), Updated(zeros), Updated(ones), count, 0.1, 1e-5
    )
    assert_equal(np.isnan(mean), np.array([False, False, True, False]))
    assert_each_close(mean[[0, 3]], np.full(2, x[0, 0], F64), 2 * EPS32)
    assert_each_close(rstd[[0, 3]], np.full(2, 1e-5**-0.5), BN_RTOL)


def test_batchnorm_running_scale(device, rng):
    for c in (1, 255, 257):
        var, gamma = rng.uniform(0, 2, c).astype(F32), normal(rng, c)
        rstd, scale = launch(device, ops.batchnorm_running_scale, var, gamma, Out(c), Out(c), 1e-3)
        assert_close(rstd, 1 / np.sqrt(var.astype(F64) + 1e-3), BN_RTOL)
        assert_close(scale, gamma / np.sqrt(var.astype(F64) + 1e-3), BN_RTOL)


@every_fused_shape
@every_slope
def test_batchnorm_activation_forward(device, rng, shape, slope):
    x, _, _, beta, mean, _, _, scale, p = bn_fused(rng, shape, training=False)
    got = launch(device, ops.batchnorm_activation_forward, x, mean, scale, beta, Out(shape), slope)
    assert_close(got, np.where(p > 0, p, F32(slope) * p), BN_RTOL)
    both = Updated(x)
    assert_equal(
        launch(device, ops.batchnorm_activation_forward, both, mean, scale, beta, both, slope), got
    )  # y may be x


@every_fused_shape
@every_slope
@pytest.mark.parametrize("training", [True, False])
def test_batchnorm_activation_backward(device, rng, shape, slope, training):
    x, dy, gamma, beta, mean, var, rstd, scale, p = bn_fused(rng, shape, training)
    c, old_dgamma, old_dbeta = shape[-1], normal(rng, shape[-1]), normal(rng, shape[-1])
    given, g = (x, dy, mean, rstd, scale, beta), np.where(p > 0, dy, F32(slope) * dy)
    backward = ref.batchnorm_backward_train if training else ref.batchnorm_backward_eval
    want_dx, want_dgamma, want_dbeta = backward(g, x, gamma, mean, var)

    dgamma, dbeta = Updated(old_dgamma), Updated(old_dbeta)
    sums, *grads, dx = launch(
        device, ops.batchnorm_activation_backward, *given, Out((2, c)), dgamma, dbeta, Out(shape), slope, training
    )
    assert_close(grads[0], old_dgamma + want_dgamma, SUM_RTOL, "dgamma")  # added
    assert_close(grads[1], old_dbeta + want_dbeta, SUM_RTOL, "dbeta")
    if training:
        assert_close(sums, np.stack([want_dbeta, want_dgamma]), SUM_RTOL, "sums")
    # as for the separate kernels: where a channel has 2 or 3 values dx is what cancellation leaves of g
    scale_of_g = np.linalg.norm(dy * gamma * rstd)
    assert np.isfinite(dx).all() and np.linalg.norm(dx - want_dx) <= 2 * BN_RTOL * scale_of_g

    _, alone = launch(
        device, ops.batchnorm_activation_backward, *given, Out((2, c)), None, None, Out(shape), slope, training
    )
    assert_equal(alone, dx, "dx without dgamma and dbeta")
    _, *alone = launch(device, ops.batchnorm_activation_backward, *given, Out((2, c)), Updated(old_dgamma), Updated(old_dbeta), None,
                       slope, training)  # fmt: skip
    assert_equal(np.stack(alone), np.stack(grads), "dgamma and dbeta without dx")
    both, others = Updated(dy), given[2:]
    in_place, _ = launch(
        device, ops.batchnorm_activation_backward, x, both, *others, Out((2, c)), None, None, both, slope, training
    )
    assert_equal(in_place, dx, "dx in the place of dy")


# Losses

BCE_SIZES = [1, 7, 255, 256, 257, 1000]

# logf, log1pf and expf within a few units in the last place, then a sum of up to 1,000 terms in 256 parts
LOSS_RTOL = 1e-6


@pytest.mark.parametrize("size", BCE_SIZES)
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_bce(device, rng, size, scale):
    p, t = rng.uniform(0.01, 0.99, size).astype(F32), rng.random(size).astype(F32)
    gradient, result = launch(device, ops.bce, p, t, Out(size), Out(2), scale)
    loss, want = ref.bce(p, t)
    assert_close(result, [scale * loss, p.mean(dtype=F64)], LOSS_RTOL)
    assert_close(gradient, scale * want, LOSS_RTOL)


@pytest.mark.parametrize("size", BCE_SIZES)
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_bce_with_logits(device, rng, size, scale):
    x, t = 4 * normal(rng, size), rng.random(size).astype(F32)
    gradient, result = launch(device, ops.bce_with_logits, x, t, Out(size), Out(2), scale)
    loss, want = ref.bce_with_logits(x, t)
    # x - x * t and p - t cancel where the answer is right: a few roundings of x, of p
    assert_each_close(
        result, [scale * loss, ref.sigmoid_forward(x).mean()], LOSS_RTOL, atol=4 * EPS32 * np.abs(x).max()
    )
    assert_each_close(gradient, scale * want, LOSS_RTOL, atol=4 * EPS32 / size)


def test_bce_of_impossible_probabilities_is_finite(device):
    """Each log is held at -100, p * (1 - p) at 1e-12."""
    p, t = np.array([[p, t] for p in (0, 1, EPS32, 1 - EPS32) for t in (0, 1, 0.5)], F32).T.copy()
    for i in range(p.size):  # one by one: a mean would hide a small loss behind a large one
        gradient, result = launch(device, ops.bce, p[i : i + 1], t[i : i + 1], Out(1), Out(2))
        loss, want = ref.bce(p[i : i + 1], t[i : i + 1])
        assert_each_close(result, [loss, p[i]], LOSS_RTOL, atol=1e-12)
        assert_each_close(gradient, want, LOSS_RTOL)


def test_bce_with_huge_logits(device):
    """No logit overflows, and a wrong answer that is sure of itself keeps its gradient."""
    x, t = np.array(
        [[x, t] for x in (0, 17, -17, 88, -88, 104, -104, 1e4, -1e4, 1e30, -1e30) for t in (0, 1)], F32
    ).T.copy()
    for i in range(x.size):
        gradient, result = launch(device, ops.bce_with_logits, x[i : i + 1], t[i : i + 1], Out(1), Out(2))
        loss, want = ref.bce_with_logits(x[i : i + 1], t[i : i + 1])
        # p is held to a few units in the last place; p - 1 then to 6e-8. Results below 1.2e-38 may be flushed to 0
        assert_each_close(result, [loss, ref.sigmoid_forward(x[i])], LOSS_RTOL, atol=1.2e-38)
        assert_each_close(gradient, want, LOSS_RTOL, atol=2 * EPS32 if t[i] else 1.2e-38)
        if (x[i] > 0) != (t[i] > 0) and abs(x[i]) >= 17:
            assert abs(gradient[0]) > 0.99


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_losses_say_nan_for_nan(device, name):
    p = np.full(300, 0.5, F32)
    p[299] = np.nan
    gradient, result = launch(device, getattr(ops, name), p, np.ones(300, F32), Out(300), Out(2))
    assert np.isnan(result).all() and np.isnan(gradient[299]) and np.isfinite(gradient[:299]).all()


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_losses_write_the_gradient_in_place(device, rng, name):
    p, t = rng.uniform(0.1, 0.9, 600).astype(F32), rng.random(600).astype(F32)
    both = Updated(p)
    in_place, _ = launch(device, getattr(ops, name), both, t, both, Out(2))
    assert_equal(in_place, launch(device, getattr(ops, name), p, t, Out(600), Out(2))[0])


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_losses_with_one_target_for_all(device, rng, name):
    p = rng.uniform(0.1, 0.9, (5, 1, 1, 1)).astype(F32)
    x, loss = device.array(p), getattr(losses, name)
    for target in (0, 1.0, 0.9):
        result, gradient = loss(x, target, device=device)
        want, want_gradient = getattr(ref, name)(p, F32(target))
        assert_close(device.numpy(result)[:1], [want], LOSS_RTOL)
        assert_close(device.numpy(gradient), want_gradient, LOSS_RTOL)
    given = device.empty((2,)), device.empty(p.shape)
    result, gradient = loss(
        x, device.array(np.ones(p.shape, F32)), device=device, scale=2.0, gradient=given[1], result=given[0]
    )
    assert result is given[0] and gradient is given[1]
    assert_close(device.numpy(gradient), 2 * getattr(ref, name)(p, 1.0)[1], LOSS_RTOL)


# Adam


@pytest.mark.parametrize("beta1", [0.5, 0.0, 0.9])
@pytest.mark.parametrize("size", [1, 257, 1000])
def test_adam_over_several_steps(device, rng, size, beta1):
    """Seven steps, the learning rate halved after four. Parameters start at 0, so that all of them is what Adam added."""
    lr, beta2, eps = 2e-4, 0.999, 1e-8
    state, factors = np.array([0, lr], F64), np.empty(2, F32)
    got = [np.zeros(size, F32) for _ in range(3)]  # param, m, v
    want, largest = [np.zeros(size) for _ in range(3)], 0.0
    for t in range(1, 8):
        if t == 5:
            state[1] = lr = lr / 2
        gradient = normal(rng, size) * F32(10.0 ** rng.integers(-3, 2))
        state, factors = launch(device, ops.adam_advance, Updated(state), Out(2), beta1, beta2)
        assert_equal(state, np.array([t, lr]))
        # computed in double, so only the rounding to float32 is left
        assert_each_close(factors, [lr / (1 - beta1**t), 1 / np.sqrt(1 - beta2**t)], 1.01 * EPS32)
        param, m, v = map(Updated, got)
        got = launch(device, ops.adam_step, param, gradient, m, v, factors, beta1, beta2, eps)
        want = ref.adam(want[0], gradient, want[1], want[2], t, lr, beta1, beta2, eps)
        largest = max(largest, np.abs(gradient).max())
        # each step adds some ten roundings, of terms that may cancel in param and m; v, all positive, cannot
        for a, b, term in zip(got, want, (2e-4 * t, largest, 0.0), strict=True):
            assert_each_close(a, b, 2e-6, atol=16 * EPS32 * term)


def test_adam_keeps_parameters_without_gradient(device, rng):
    """0 / (0 + eps): no NaN, no step."""
    p, zeros = normal(rng, 300), np.zeros(300, F32)
    factors = np.array([2e-4, 31.6], F32)
    got = launch(
        device, ops.adam_step, Updated(p), zeros, Updated(zeros), Updated(zeros.copy()), factors, 0.5, 0.999, 1e-8
    )
    assert_equal(got[0], p)


def test_adam_first_step_has_the_size_of_the_learning_rate(device, rng):
    """However large or small the gradient: the correction of the bias makes m / sqrt(v) its sign."""
    gradient = np.array([1e-4, -1e-4, 1, -1, 1e4, -1e4], F32)
    param = device.zeros((6,))
    adam = Adam(param, device.array(gradient), lr=0.01, device=device)
    adam.step()
    assert_each_close(device.numpy(param), -0.01 * gradient / (np.abs(gradient.astype(F64)) + 1e-8), 1e-6)


def test_adam_object_steps_and_changes_its_learning_rate(device, rng):
    p, gradients = normal(rng, 50), [normal(rng, 50) for _ in range(4)]
    param, grad = device.array(p), device.empty((50,))
    adam = Adam(param, grad, lr=0.01, beta1=0.5, device=device)
    want, m, v = p, np.zeros(50), np.zeros(50)
    before = device.allocations
    for t, g in enumerate(gradients, 1):
        lr = 0.01 if t < 3 else 0.001
        if t == 3:
            adam.set_lr(lr)
        device.upload(grad, g)
        adam.step()
        want, m, v = ref.adam(want, g, m, v, t, lr, 0.5, 0.999, 1e-8)
    assert_close(device.numpy(param), want, 1e-6)
    assert_equal(device.numpy(adam.state), np.array([4, 0.001]))
    assert device.allocations == before


@pytest.mark.parametrize("given, message", [
    ({"lr": 0.0}, r"^Adam: lr: need more than 0, got 0.0$"),
    ({"lr": float("nan")}, r"^Adam: lr: need more than 0, got nan$"),
    ({"lr": float("inf")}, r"^Adam: lr: need more than 0, got inf$"),
    ({"beta1": 1.0}, r"^Adam: beta1: need 0 or more and less than 1, got 1.0$"),
    ({"beta2": -0.1}, r"^Adam: beta2: need 0 or more and less than 1, got -0.1$"),
    ({"eps": 0}, r"^Adam: eps: need more than 0, got 0$"),
])  # fmt: skip
def test_adam_refuses(device, given, message):
    with pytest.raises(UserError, match=message):
        Adam(device.zeros((2,)), device.zeros((2,)), **given, device=device)


# Random numbers

KNOWN_ANSWERS = [  # Random123's kat_vectors: counter, key, result
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def words(seed, stream, offset, count):
    """The Philox words behind a draw of `count` numbers, by the reference: counter (offset + i, stream), key seed."""
    counters = [(offset + i) % 2**64 for i in range(-(-count // 4))]
    low = 0xFFFFFFFF
    counter = np.array([[c & low, c >> 32, stream & low, stream >> 32] for c in counters], np.uint32)
    return ref.philox4x32_10(counter, np.array([seed & low, seed >> 32], np.uint32)).reshape(-1)


def box_muller(w):
    """Normal numbers of words taken in pairs, in float64."""
    w = w.reshape(-1, 2).astype(np.int64) >> 8
    u1, u2 = (w[:, 0] + 1) * 2.0**-24, w[:, 1] * 2.0**-24
    radius = np.sqrt(-2 * np.log(u1))
    return np.stack([radius * np.cos(2 * np.pi * u2), radius * np.sin(2 * np.pi * u2)], axis=1).reshape(-1)


STATES = {  # seed, stream, offset: each with words above 32 bits, and a counter that carries
    "zero": (0, 0, 0),
    "small": (42, 3, 1000),
    "wide": (0x0123456789ABCDEF, 0xFEDCBA9876543210, 2**32 - 3),
    "full": (2**64 - 1, 2**64 - 1, 2**64 - 2),
}
every_state = pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
DRAW_SIZES = [1, 2, 3, 4, 5, 7, 1023, 1024, 1025, 4099]


def drawn(device, op, state, size, a, b):
    return launch(device, op, np.array(state, np.uint64), Out(size), a, b)


def test_philox_known_answers(device):
    counters, keys, want = (np.array(column, np.uint32) for column in zip(*KNOWN_ANSWERS, strict=True))
    assert_equal(launch(device, ops.philox_words, counters, keys, Out((3, 4), np.uint32)), want)


@pytest.mark.parametrize("count", [1, 255, 257])
def test_philox_words(device, rng, count):
    counters, keys = (rng.integers(0, 2**32, (count, k), np.uint32) for k in (4, 2))
    got = launch(device, ops.philox_words, counters, keys, Out((count, 4), np.uint32))
    assert_equal(got, ref.philox4x32_10(counters, keys))


@every_state
@pytest.mark.parametrize("size", DRAW_SIZES)
def test_random_uniform_exact(device, state, size):
    """24 bits of a word; low + (high - low) * u is rounded once, so float64 gives the same float32."""
    u = (words(*state, size)[:size] >> 8) * 2.0**-24
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (-0.25, 3.0)):
        assert_equal(drawn(device, ops.random_uniform, state, size, low, high), (low + (high - low) * u).astype(F32))


@every_state
@pytest.mark.parametrize("size", DRAW_SIZES)
def test_random_normal_against_float64(device, state, size):
    """Within 1e-6: results are below 6, where float32 rounds by 2.4e-7; logarithm, root and angle add as much again."""
    z = box_muller(words(*state, size))[:size]
    assert_each_close(drawn(device, ops.random_normal, state, size, 0.0, 1.0), z, 0, atol=1e-6)
    # + 1 rounding of a number below 16
    assert_each_close(drawn(device, ops.random_normal, state, size, 10.0, 0.5), 10 + z / 2, 0, atol=0.5e-6 + 16 * EPS32)


def test_random_normal_over_many_draws(device):
    """2^20 numbers, so that the radius and the angle meet all their cases, each within 1e-6 of float64."""
    n = 2**20
    got = drawn(device, ops.random_normal, (7, 0, 0), n, 0.0, 1.0)
    assert_each_close(got, box_muller(words(7, 0, 0, n)), 0, atol=1e-6)

    # Bounds: five standard errors of each statistic of n independent numbers. The seed is fixed: no chance is left.
    z, error = got.astype(F64), n**-0.5
    assert abs(z.mean()) < 5 * error
    assert abs(z.var() - 1) < 5 * 2**0.5 * error
    assert abs((z**3).mean()) < 5 * 15**0.5 * error
    assert abs((z**4).mean() - 3) < 5 * 96**0.5 * error
    for bound, p in ((1, 0.3173105), (2, 0.0455003), (3, 0.0026998), (4, 6.334e-5)):
        assert abs((np.abs(z) > bound).mean() - p) < 5 * (p / n) ** 0.5
    assert (
        abs((z[:-1] * z[1:]).mean()) < 5 * error and abs((z[:-4] * z[4:]).mean()) < 5 * error
    )  # neighbours, neighbouring threads


def test_random_uniform_range_and_moments(device):
    n = 2**20
    u = drawn(device, ops.random_uniform, (7, 1, 0), n, 0.0, 1.0).astype(F64)
    assert 0 <= u.min() < 1e-5 and 1 - 1e-5 < u.max() < 1
    assert abs(u.mean() - 1 / 2) < 5 * (12 * n) ** -0.5
    assert abs(u.var() - 1 / 12) < 5 * (180 * n) ** -0.5
    counts = np.bincount((u * 64).astype(int), minlength=64)
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * 126**0.5  # chi squared, 63 degrees of freedom


def test_random_numbers_are_the_same_bits_on_every_device(device):
    """CRC-32 of what two C++ compilers drew when this was written: no other compiler or device may change a bit."""
    normals = drawn(device, ops.random_normal, (2026, 11, 22), 40001, 0.0, 0.02)
    uniforms = drawn(device, ops.random_uniform, (2026, 11, 22), 40001, -1.0, 1.0)
    assert (zlib.crc32(normals.tobytes()), zlib.crc32(uniforms.tobytes())) == (2675511710, 2313371261)


@pytest.mark.parametrize("counters", [0, 1, 2**31 - 1])
def test_random_advance(device, counters):
    got = launch(device, ops.random_advance, Updated(np.array([5, 6, 2**32 - 1], np.uint64)), counters)
    assert_equal(got, np.array([5, 6, 2**32 - 1 + counters], np.uint64))


def test_two_draws_follow_one_another(device):
    """Two draws of n equal one of 2n where n is a multiple of 4; else the second starts with a fresh counter."""
    for n in (8, 1024, 4 * 257):
        for fill, bounds in ((Random.uniform, (-1.0, 1.0)), (Random.normal, (0.0, 1.0))):
            whole = device.numpy(fill(Random(device, 9), device.empty((2 * n,)), *bounds))
            random = Random(device, 9)
            halves = [device.numpy(fill(random, device.empty((n,)), *bounds)) for _ in range(2)]
            assert_equal(np.concatenate(halves), whole)
    random = Random(device, 9)
    first, second = (device.numpy(random.uniform(device.empty((5,)))) for _ in range(2))
    assert_equal(
        np.concatenate([first[:4], second[:4]]), (words(9, 0, 0, 12)[[0, 1, 2, 3, 8, 9, 10, 11]] >> 8) * 2.0**-24
    )
    assert_equal(device.numpy(random.state), np.array([9, 0, 4], np.uint64))


def test_seeds_and_streams_differ(device):
    draws = [
        device.numpy(Random(device, *s).normal(device.empty((64,))))
        for s in ((0, 0), (1, 0), (0, 1), (1, 1), (2**32, 0), (0, 2**32))
    ]
    assert_equal(draws[0], device.numpy(Random(device).normal(device.empty((64,)))))  # both default to 0
    assert (
        len(np.unique(np.stack(draws))) > 6 * 64 - 3
    )  # 24 bits: two numbers in 384 may chance to be equal, not a run of them


@pytest.mark.parametrize("given, message", [
    ({"seed": -1}, r"^Random: seed: need a whole number from 0 to 2\^64 - 1, got -1$"),
    ({"seed": 1.5}, r"^Random: seed: need a whole number from 0 to 2\^64 - 1, got 1.5$"),
    ({"stream": 2**64}, r"^Random: stream: need a whole number from 0 to 2\^64 - 1, got 18446744073709551616$"),
])  # fmt: skip
def test_random_refuses(device, given, message):
    with pytest.raises(UserError, match=message):
        Random(device, **given)


# Errors: `where: argument: need this, got that`


class Huge:
    """Stands for an array too large for 32-bit indices; nothing is allocated."""

    def __init__(self, *shape):
        self.shape, self.size = shape, int(np.prod(shape, dtype=np.int64))


LIMIT = r"need at most 2147418112 elements in an array \(32-bit indices\), got "
C = np.zeros(3, F32)


def of(*shape, dtype=F32):
    return np.zeros(shape, dtype)


P11, P22 = (1, 1), (2, 2)
WRONG_SHAPES = [
    (ops.add, (of(2, 3), of(3, 2)), r"^add: y: need the shape of x, \(2, 3\), got \(3, 2\)$"),
    (ops.relu_forward, (of(6), of(2, 3)), r"^relu_forward: y: need the shape of x, \(6,\), got \(2, 3\)$"),
    (ops.relu_backward, (of(2), of(3), of(2)), r"^relu_backward: dy: need the shape of y, \(2,\), got \(3,\)$"),
    (ops.leaky_relu_forward, (of(2), of(3), 0.2), r"^leaky_relu_forward: y: need the shape of x"),
    (ops.leaky_relu_backward, (of(2), of(2), of(3), 0.2), r"^leaky_relu_backward: dx: need the shape of y"),
    (ops.tanh_forward, (of(2), of(3)), r"^tanh_forward: y: need the shape of x"),
    (ops.tanh_backward, (of(2), of(2), of(3)), r"^tanh_backward: dx: need the shape of y"),
    (ops.sigmoid_forward, (of(2), of(3)), r"^sigmoid_forward: y: need the shape of x"),
    (ops.sigmoid_backward, (of(2), of(2), of(3)), r"^sigmoid_backward: dx: need the shape of y"),
    (ops.images_to_uint8, (of(2), of(3, dtype=np.uint8)), r"^images_to_uint8: y: need the shape of x, \(2,\), got \(3,\)$"),
    (ops.images_to_float, (of(2, 4, 5, 3, dtype=np.uint8), of(3, 4, 5, 3)),
     r"^images_to_float: images: need \[at least 3, 4, 5, 3\], got \(2, 4, 5, 3\)$"),
    (ops.images_to_float, (of(2, 5, 4, 3, dtype=np.uint8), of(2, 4, 5, 3)),
     r"^images_to_float: images: need \[at least 2, 4, 5, 3\], got \(2, 5, 4, 3\)$"),
    (ops.images_to_float, (of(2, 4, 5, 3, dtype=np.uint8), of(3, 4, 5, 3), of(2, dtype=np.int32)),
     r"^images_to_float: index: need shape \(3,\), got \(2,\)$"),
    (ops.images_to_float, (of(3, 4, 5, 3, dtype=np.uint8), of(3, 4, 5, 3), None, of(2, dtype=np.uint8)),
     r"^images_to_float: flip: need shape \(3,\), got \(2,\)$"),
    (ops.conv2d_forward, (of(4, 4, 3), of(3, 3, 3, 2), None, of(1, 2, 2, 2), P11, P11),
     r"^conv2d_forward: x: need 4 axes without an empty one, got \(4, 4, 3\)$"),
    (ops.conv2d_forward, (of(0, 4, 4, 3), of(3, 3, 3, 2), None, of(0, 4, 4, 2), P11, P11),
     r"^conv2d_forward: x: need 4 axes without an empty one, got \(0, 4, 4, 3\)$"),
    (ops.conv2d_forward, (of(1, 4, 4, 3), of(3, 3, 4, 2), None, of(1, 4, 4, 2), P11, P11),
     r"^conv2d_forward: w: need \[kh, kw, 3, oc\] for 3 channels of x, got \(3, 3, 4, 2\)$"),
    (ops.conv2d_forward, (of(1, 4, 4, 3), of(7, 3, 3, 2), None, of(1, 1, 4, 2), P11, P11),
     r"^conv2d_forward: x: need a height and width of at least 5 \(kernel 7, padding 1\), got 4$"),
    (ops.conv2d_forward, (of(1, 4, 4, 3), of(3, 3, 3, 2), None, of(1, 4, 5, 2), P11, P11),
     r"^conv2d_forward: y: need shape \(1, 4, 4, 2\) for x \(1, 4, 4, 3\) and w \(3, 3, 3, 2\), stride \(1, 1\), padding \(1, 1\), "
     r"got \(1, 4, 5, 2\)$"),
    (ops.conv2d_forward, (of(1, 4, 4, 3), of(3, 3, 3, 2), of(3), of(1, 4, 4, 2), P11, P11),
     r"^conv2d_forward: bias: need shape \(2,\), got \(3,\)$"),
    (ops.conv2d_backward_input, (of(1, 4, 4, 2), of(3, 3, 3, 2), None, of(1, 4, 5, 3), P11, P11),
     r"^conv2d_backward_input: y: need shape \(1, 4, 5, 2\) for x \(1, 4, 5, 3\) and w \(3, 3, 3, 2\), .* got \(1, 4, 4, 2\)$"),
    (ops.conv2d_backward_input, (of(1, 4, 4, 2), of(3, 3, 3, 2), of(2), of(1, 4, 4, 3), P11, P11),
     r"^conv2d_backward_input: bias: need shape \(3,\), got \(2,\)$"),
    (ops.conv2d_backward_weight, (of(1, 4, 4, 3), of(1, 2, 3, 2), of(4, 4, 3, 2), P22, P11),
     r"^conv2d_backward_weight: y: need shape \(1, 2, 2, 2\) .* got \(1, 2, 3, 2\)$"),
    (ops.conv2d_backward_bias, (of(2, 4, 4, 3), of(4)), r"^conv2d_backward_bias: db: need shape \(3,\), got \(4,\)$"),
    (ops.conv2d_backward_bias, (of(3), of(3)), r"^conv2d_backward_bias: x: need \[..., channels\], got shape \(3,\)$"),
    (ops.zero_insert, (of(2, 4, 4, 3), of(2, 9, 9, 2), (4, 4), P22, P11), r"^zero_insert: z: need \[2, zh, zw, 3\], got \(2, 9, 9, 2\)$"),
    (ops.flip_kernel, (of(3, 4, 2, 5), of(3, 4, 2, 5)), r"^flip_kernel: flipped: need shape \(3, 4, 5, 2\), got \(3, 4, 2, 5\)$"),
    (ops.batchnorm_statistics, (of(1, 1, 1, 3), C, C, C, C, of(1, dtype=np.int64), 0.1),
     r"^batchnorm_statistics: x: need more than 1 value a channel when training, got shape \(1, 1, 1, 3\)$"),
    (ops.batchnorm_statistics, (of(5, 3), C, C, C, of(4), of(1, dtype=np.int64), 0.1),
     r"^batchnorm_statistics: running_var: need shape \(3,\), got \(4,\)$"),
    (ops.batchnorm_forward, (of(5, 3), C, C, C, of(2), of(5, 3), 1e-5), r"^batchnorm_forward: beta: need shape \(3,\), got \(2,\)$"),
    (ops.batchnorm_forward, (of(5, 3), C, C, C, C, of(3, 5), 1e-5),
     r"^batchnorm_forward: y: need the shape of x, \(5, 3\), got \(3, 5\)$"),
    (ops.batchnorm_backward_sums, (of(5, 3), of(5, 2), C, C, C, C, 1e-5), r"^batchnorm_backward_sums: dy: need the shape of x"),
    (ops.batchnorm_backward_sums, (of(5, 3), of(5, 3), C, C, C, of(1), 1e-5),
     r"^batchnorm_backward_sums: sum_dy_xhat: need shape \(3,\), got \(1,\)$"),
    (ops.batchnorm_backward_input, (of(5, 3), of(5, 3), C, of(1), C, C, C, of(5, 3), 1e-5),
     r"^batchnorm_backward_input: var: need shape \(3,\), got \(1,\)$"),
    (ops.bce, (of(3), of(2), of(3), of(2)), r"^bce: target: need the shape of prob, \(3,\), got \(2,\)$"),
    (ops.bce, (of(3), of(3), of(3), of(3)), r"^bce: result: need shape \(2,\), got \(3,\)$"),
    (ops.bce_with_logits, (of(3), of(3), of(2), of(2)), r"^bce_with_logits: gradient: need the shape of logits, \(3,\), got \(2,\)$"),
    (ops.adam_step, (of(3), of(3), of(3), of(4), of(2), 0.5, 0.999, 1e-8), r"^adam_step: v: need the shape of param, \(3,\), got \(4,\)$"),
    (ops.philox_words, (of(3, 4, dtype=np.uint32), of(3, 4, dtype=np.uint32), of(3, 4, dtype=np.uint32)),
     r"^philox_words: keys: need shape \(3, 2\), got \(3, 4\)$"),
    (ops.philox_words, (of(3, 4, dtype=np.uint32), of(3, 2, dtype=np.uint32), of(2, 4, dtype=np.uint32)),
     r"^philox_words: out: need shape \(3, 4\), got \(2, 4\)$"),
]  # fmt: skip


# Small arrays that a kernel reads or writes without asking how long they are
FUSED = (
    of(5, 3),
    of(5, 3),
    C,
    C,
    C,
    C,
    of(2, 3),
    C,
    C,
    of(5, 3),
    0.2,
    True,
)  # x, dy, mean, rstd, scale, beta, sums, dgamma, dbeta, dx
WRONG_SHAPES += [
    (ops.batchnorm_batch, (of(1, 3), C, C, C, C, C, C, of(1, dtype=np.int64), 0.1, 1e-5),
     r"^batchnorm_batch: x: need more than 1 value a channel when training, got shape \(1, 3\)$"),
    (ops.batchnorm_batch, (of(5, 3), C, C, C, of(1), C, C, of(1, dtype=np.int64), 0.1, 1e-5),
     r"^batchnorm_batch: scale: need shape \(3,\), got \(1,\)$"),
    (ops.batchnorm_batch, (of(5, 3), C, C, C, C, C, of(1), of(1, dtype=np.int64), 0.1, 1e-5),
     r"^batchnorm_batch: running_var: need shape \(3,\), got \(1,\)$"),
    (ops.batchnorm_batch, (of(5, 3), C, C, C, C, C, C, of(2, dtype=np.int64), 0.1, 1e-5),
     r"^batchnorm_batch: num_batches_tracked: need shape \(1,\), got \(2,\)$"),
    (ops.batchnorm_running_scale, (C, C, C, of(2), 1e-5), r"^batchnorm_running_scale: scale: need the shape of running_var, "),
    (ops.batchnorm_activation_forward, (of(5, 3), C, C, C, of(3, 5), 0.2), r"^batchnorm_activation_forward: y: need the shape of x"),
    *((ops.batchnorm_activation_forward, (of(5, 3), *(C if i != wrong else of(1) for i in range(3)), of(5, 3), 0.2),
       rf"^batchnorm_activation_forward: {name}: need shape \(3,\), got \(1,\)$") for wrong, name in enumerate(("mean", "scale", "beta"))),
    (ops.batchnorm_activation_backward, (FUSED[0], of(5, 2), *FUSED[2:]), r"^batchnorm_activation_backward: dy: need the shape of x"),
    *((ops.batchnorm_activation_backward, (*FUSED[:i], of(1), *FUSED[i + 1:]),
       rf"^batchnorm_activation_backward: {name}: need shape {want}, got \(1,\)$")
      for i, name, want in ((2, "mean", r"\(3,\)"), (3, "rstd", r"\(3,\)"), (4, "scale", r"\(3,\)"), (5, "beta", r"\(3,\)"),
                            (6, "sums", r"\(2, 3\)"), (7, "dgamma", r"\(3,\)"), (8, "dbeta", r"\(3,\)"))),
    (ops.batchnorm_statistics, (of(5, 3), C, C, C, C, of(2, dtype=np.int64), 0.1),
     r"^batchnorm_statistics: num_batches_tracked: need shape \(1,\), got \(2,\)$"),
    (ops.batchnorm_backward_input, (of(5, 3), of(5, 3), C, C, C, of(1), C, of(5, 3), 1e-5),
     r"^batchnorm_backward_input: sum_dy: need shape \(3,\), got \(1,\)$"),
    (ops.batchnorm_backward_input, (of(5, 3), of(5, 3), C, C, C, C, of(1), of(5, 3), 1e-5),
     r"^batchnorm_backward_input: sum_dy_xhat: need shape \(3,\), got \(1,\)$"),
    (ops.adam_advance, (of(1, dtype=F64), of(2), 0.5, 0.999), r"^adam_advance: state: need shape \(2,\), got \(1,\)$"),
    (ops.adam_advance, (of(2, dtype=F64), of(1), 0.5, 0.999), r"^adam_advance: factors: need shape \(2,\), got \(1,\)$"),
    (ops.adam_step, (C, C, C, C, of(1), 0.5, 0.999, 1e-8), r"^adam_step: factors: need shape \(2,\), got \(1,\)$"),
    (ops.random_uniform, (of(2, dtype=np.uint64), C, 0.0, 1.0), r"^random_uniform: state: need shape \(3,\), got \(2,\)$"),
    (ops.random_normal, (of(2, dtype=np.uint64), C, 0.0, 1.0), r"^random_normal: state: need shape \(3,\), got \(2,\)$"),
    (ops.random_advance, (of(2, dtype=np.uint64), 1), r"^random_advance: state: need shape \(3,\), got \(2,\)$"),
    (ops.philox_words, (of(3, 3, dtype=np.uint32), of(3, 2, dtype=np.uint32), of(3, 4, dtype=np.uint32)),
     r"^philox_words: counters: need shape \(3, 4\), got \(3, 3\)$"),
]  # fmt: skip


def on(device, arguments):
    return [device.array(a) if isinstance(a, np.ndarray) else a for a in arguments]


@pytest.mark.parametrize("op, arguments, message", WRONG_SHAPES)
def test_wrong_shapes_are_refused(device, op, arguments, message):
    with pytest.raises(UserError, match=message):
        op(device, *on(device, arguments))


BIG = Huge(2**31 - 2**16 + 1)
BIG_IMAGES = Huge(2**16, 2**11, 2**3, 2)


@pytest.mark.parametrize("op, arguments, where", [
    (ops.fill, (BIG, 0.0), "fill: size"),
    (ops.add, (BIG, BIG), "add: size"),
    (ops.relu_forward, (BIG, BIG), "relu_forward: size"),
    (ops.sigmoid_backward, (BIG, BIG, BIG), "sigmoid_backward: size"),
    (ops.images_to_uint8, (BIG, BIG), "images_to_uint8: size"),
    (ops.images_to_float, (BIG_IMAGES, BIG_IMAGES), "images_to_float: size"),
    (ops.conv2d_forward, (BIG_IMAGES, of(1, 1, 2, 1), None, Huge(2**16, 2**11, 2**3, 1), P11, (0, 0)), "conv2d_forward: x: size"),
    (ops.conv2d_forward, (Huge(2**16, 2**11, 2**3, 1), of(1, 1, 1, 2), None, BIG_IMAGES, P11, (0, 0)), "conv2d_forward: y: size"),
    (ops.conv2d_backward_input, (of(1, 1, 1, 1), Huge(2**15, 2**15, 1, 2), None, of(1, 1, 1, 1), P11, (0, 0)),
     "conv2d_backward_input: w: size"),
    (ops.conv2d_backward_weight, (BIG_IMAGES, BIG_IMAGES, of(1, 1, 2, 2), P11, (0, 0)), "conv2d_backward_weight: x: size"),
    (ops.conv2d_backward_bias, (BIG_IMAGES, C), "conv2d_backward_bias: size"),
    (ops.zero_insert, (of(1, 4, 4, 1), Huge(1, 2**16, 2**15, 1), (4, 4), P22, P11), "zero_insert: size"),
    (ops.batchnorm_statistics, (BIG_IMAGES, C, C, C, C, of(1, dtype=np.int64), 0.1), "batchnorm_statistics: size"),
    (ops.batchnorm_forward, (BIG_IMAGES, C, C, C, C, BIG_IMAGES, 1e-5), "batchnorm_forward: size"),
    (ops.bce, (BIG, BIG, BIG, of(2)), "bce: size"),
    (ops.adam_step, (BIG, BIG, BIG, BIG, of(2), 0.5, 0.999, 1e-8), "adam_step: size"),
    (ops.random_uniform, (of(3, dtype=np.uint64), BIG, 0.0, 1.0), "random_uniform: size"),
    (ops.random_normal, (of(3, dtype=np.uint64), BIG, 0.0, 1.0), "random_normal: size"),
    (ops.flip_kernel, (BIG_IMAGES, Huge(2**16, 2**11, 2, 2**3)), "flip_kernel: size"),
    (ops.philox_words, (Huge(2**29, 4), Huge(2**29, 2), Huge(2**29, 4)), "philox_words: size"),
])  # fmt: skip
def test_sizes_beyond_32_bit_indices_are_refused(device, op, arguments, where):
    with pytest.raises(UserError, match=f"^{where}: {LIMIT}2147"):
        op(device, *on(device, arguments))


def test_the_largest_size_is_not_refused():
    largest = Huge(INDEX_LIMIT)
    assert same_size("here", x=largest, y=largest) == 2**31 - 2**16
    assert ops.ceil_div(INDEX_LIMIT, BLOCK) * BLOCK < 2**31  # the whole grid counts in 32 bits


@pytest.mark.parametrize("op, inputs", [
    (ops.conv2d_forward, 3), (ops.conv2d_backward_input, 3), (ops.conv2d_backward_weight, 2),
])  # fmt: skip
def test_unknown_rungs_are_refused(device, op, inputs):
    x, w, bias, y = device.zeros((1, 1, 1, 1)), device.zeros((1, 1, 1, 1)), None, device.zeros((1, 1, 1, 1))
    with pytest.raises(
        UserError, match=rf"^{op.__name__}: kernels: need one of {', '.join(choices.RUNGS)}, got 'fastest'$"
    ):
        op(device, *(x, w, bias)[:inputs], y, P11, (0, 0), "fastest")


WRONG_TYPES = [
    (ops.relu_forward, (of(3, dtype=F64), of(3)), "relu_forward: x: need an array of float32 on the {kind}, got .*ndarray of float64"),
    (ops.images_to_uint8, (of(3), of(3)), "images_to_uint8: y: need an array of uint8 on the {kind}, got .*ndarray of float32"),
    (ops.images_to_float, (of(2, 1, 1, 1), of(2, 1, 1, 1)), "images_to_float: images: need an array of uint8 on the {kind}, got"),
    (ops.images_to_float, (of(2, 1, 1, 1, dtype=np.uint8), of(2, 1, 1, 1), of(2, dtype=np.int64)),
     "images_to_float: index: need an array of int32 on the {kind}, got .* int64"),
    (ops.conv2d_forward, (of(1, 1, 1, 1), of(1, 1, 1, 1, dtype=np.float16), None, of(1, 1, 1, 1), P11, (0, 0)),
     "conv2d_forward: w: need an array of float32 on the {kind}, got .* float16"),
    (ops.batchnorm_statistics, (of(5, 3), C, C, C, C, of(1, dtype=np.int32), 0.1),
     "batchnorm_statistics: num_batches_tracked: need an array of int64 on the {kind}, got .* int32"),
    (ops.adam_advance, (of(2), of(2), 0.5, 0.999), "adam_advance: state: need an array of float64 on the {kind}, got .* float32"),
    (ops.random_uniform, (of(3, dtype=np.int64), of(3), 0.0, 1.0), "random_uniform: state: need an array of uint64 on the {kind}, got"),
]  # fmt: skip


@pytest.mark.parametrize("op, arguments, message", WRONG_TYPES)
def test_wrong_types_are_refused(device, op, arguments, message):
    with pytest.raises(TypeError, match=message.format(kind=device.kind)):
        op(device, *on(device, arguments))


def test_arrays_with_gaps_are_refused(device):
    x = device.zeros((4, 6))
    with pytest.raises(
        ValueError, match=r"^relu_forward: x: need an array in C order without gaps, got strides \(24, 8\)$"
    ):
        ops.relu_forward(device, x[:, ::2], device.empty((4, 3)))


def test_something_that_is_no_array_of_this_device_is_refused(device):
    x = device.zeros((3,))

    class Listed(list):
        shape, size = (3,), 3

    with pytest.raises(
        TypeError, match=f"^relu_forward: y: need an array of float32 on the {device.kind}, got .*Listed"
    ):
        ops.relu_forward(device, x, Listed([0, 0, 0]))


@pytest.mark.parametrize(
    "value", [0, -1, True, 1.0, None, "ab", (1, 0), (1, 2.0), (1, True), (1,), (1, 2, 3), "abc"], ids=repr
)
def test_pair_refuses(value):
    with pytest.raises(
        UserError, match=r"^here: stride: need a whole number of at least 1, or a pair \(h, w\) of them, got "
    ):
        ops.pair("here", "stride", value, 1)


@pytest.mark.parametrize(
    "value, want", [(2, (2, 2)), ((2, 3), (2, 3)), ([2, 3], (2, 3)), (np.int64(2), (2, 2)), (0, (0, 0))], ids=repr
)
def test_pair(value, want):
    got = ops.pair("here", "padding", value, 0)
    assert got == want and all(type(v) is int for v in got)
