"""The tiled rung against the textbook's:

`==` on integers over hundreds of drawn shapes, float64 on random numbers, and fusion.
"""

import os
import secrets

import numpy as np
import pytest
from helpers import assert_close, assert_equal, draw_conv_shape, integers, normal
from ops_cases import EVERY_TILE

from dcgan_cupy import layers, networks, ops
from dcgan_cupy import reference as ref
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.errors import UserError
from dcgan_cupy.ops import tiles
from dcgan_cupy.random import Random

SHAPES, BATCHES = 320, 8
MOST_WORK = 1.5e7  # multiply-adds: the textbook takes milliseconds, not minutes

# The seeds' layers (features 16), where the thin cases lie: 3 channels in, 3 out, one output, a 1 x 1 input.
SEED_LAYERS = [
    {"n": 3, "h": 32, "w": 32, "ic": 3, "oc": 16, "kh": 4, "kw": 4, "stride": (2, 2), "padding": (1, 1)},
    {"n": 3, "h": 16, "w": 16, "ic": 16, "oc": 32, "kh": 4, "kw": 4, "stride": (2, 2), "padding": (1, 1)},
    {"n": 3, "h": 8, "w": 8, "ic": 32, "oc": 64, "kh": 4, "kw": 4, "stride": (2, 2), "padding": (1, 1)},
    {"n": 3, "h": 4, "w": 4, "ic": 64, "oc": 1, "kh": 4, "kw": 4, "stride": (2, 2), "padding": (0, 0)},
    {"n": 3, "h": 4, "w": 4, "ic": 128, "oc": 100, "kh": 4, "kw": 4, "stride": (1, 1), "padding": (0, 0)},
    {"n": 2, "h": 16, "w": 16, "ic": 64, "oc": 48, "kh": 4, "kw": 4, "stride": (2, 2), "padding": (1, 1)},
]


def drawn(rng):
    while True:
        s = draw_conv_shape(
            rng, transposed=True, batch=(1, 9), size=(1, 40), channels=(1, 130)
        )  # sizes of the transposed input
        hw = ref.conv_transpose2d_output_size(
            (s["h"], s["w"]), (s["kh"], s["kw"]), s["stride"], s["padding"], s["output_padding"]
        )
        if s["n"] * s["h"] * s["w"] * s["ic"] * s["oc"] * s["kh"] * s["kw"] <= MOST_WORK:
            return {**s, "h": hw[0], "w": hw[1], "ic": s["oc"], "oc": s["ic"], "oh": s["h"], "ow": s["w"]}


def run(device, rng, s, rung, known=False):
    """All three directions, outputs poisoned: y, dx, dx with bias, dw."""
    stride, padding = s["stride"], s["padding"]
    x = integers(rng, (s["n"], s["h"], s["w"], s["ic"]))
    w = integers(rng, (s["kh"], s["kw"], s["ic"], s["oc"]))
    oh, ow = ref.conv2d_output_size(x.shape[1:3], w.shape[:2], stride, padding)
    dy = integers(rng, (s["n"], oh, ow, s["oc"]))
    b, bi, dw = integers(rng, s["oc"]), integers(rng, s["ic"]), integers(rng, w.shape)
    x, w, dy, b, bi, dw = map(device.array, (x, w, dy, b, bi, dw))
    y, dx, dxb = (device.array(np.full(a.shape, np.nan, np.float32)) for a in (dy, x, x))
    ops.conv2d_forward(device, x, w, b, y, stride, padding, rung, known)
    ops.conv2d_backward_input(device, dy, w, None, dx, stride, padding, rung, known)
    ops.conv2d_backward_input(device, dy, w, bi, dxb, stride, padding, rung, known)
    ops.conv2d_backward_weight(device, x, dy, dw, stride, padding, rung, known)
    return [device.numpy(a) for a in (y, dx, dxb, dw)]


def compare(device, seed, shape, known=False):
    for name, got, want in zip(
        ("y", "dx", "dx with bias", "dw"),
        run(device, np.random.default_rng(seed), shape, "tiled", known),
        run(device, np.random.default_rng(seed), shape, "textbook"),
        strict=True,
    ):
        assert_equal(got, want, f"{name} of {shape}, seed {seed}")


@EVERY_TILE
@pytest.mark.parametrize("batch", [0, 1, *(pytest.param(b, marks=pytest.mark.large) for b in range(2, BATCHES))])
def test_tiled_equals_textbook_on_drawn_shapes(device, batch):
    """Sums of small integers are exact in any order: one wrong index anywhere shows."""
    seeds = [1000 * batch + i for i in range(SHAPES // BATCHES - 2)] + [
        secrets.randbits(32) for _ in range(2)
    ]  # two fresh ones
    for seed in seeds:
        compare(device, seed, drawn(np.random.default_rng(seed)))


@EVERY_TILE
@pytest.mark.parametrize("shape", SEED_LAYERS, ids=lambda s: f"{s['ic']}-{s['oc']}")
def test_tiled_with_known_sizes_equals_textbook(device, shape):
    compare(device, 5, shape, known=True)


def against_float64(device, rng, shape, rung, rtol):
    """All three directions of random numbers, sizes known, within a relative norm of the reference."""
    stride, padding = shape["stride"], shape["padding"]
    x, w = normal(rng, (shape["n"], shape["h"], shape["w"], shape["ic"])), normal(rng, (4, 4, shape["ic"], shape["oc"]))
    want = ref.conv2d_forward(x, w, None, stride, padding)
    dy = normal(rng, want.shape)
    y, dx, dw = device.empty(want.shape), device.empty(x.shape), device.zeros(w.shape)
    dev = [device.array(a) for a in (x, w, dy)]
    ops.conv2d_forward(device, dev[0], dev[1], None, y, stride, padding, rung, True)
    ops.conv2d_backward_input(device, dev[2], dev[1], None, dx, stride, padding, rung, True)
    ops.conv2d_backward_weight(device, dev[0], dev[2], dw, stride, padding, rung, True)
    assert_close(device.numpy(y), want, rtol, "y")
    assert_close(device.numpy(dx), ref.conv2d_backward_input(dy, w, x.shape[1:3], stride, padding), rtol, "dx")
    assert_close(device.numpy(dw), ref.conv2d_backward_weight(x, dy, (4, 4), stride, padding), rtol, "dw")


@EVERY_TILE
@pytest.mark.parametrize("shape", SEED_LAYERS[1:4], ids=lambda s: f"{s['ic']}-{s['oc']}")
def test_tiled_of_random_numbers(device, rng, shape):
    """Sums of up to 1,024 rounded terms stay under 1e-6."""
    against_float64(device, rng, shape, "tiled", 1e-6)


def test_same_bits_for_any_number_of_threads():
    shape = SEED_LAYERS[1]
    results = []
    for threads in (1, 2, 3):
        device, rng = CpuDevice(threads=threads), np.random.default_rng(3)
        x = device.array(normal(rng, (3, 16, 16, 16)))
        dy, dw = device.array(normal(rng, (3, 8, 8, 32))), device.zeros((4, 4, 16, 32))
        ops.conv2d_backward_weight(device, x, dy, dw, shape["stride"], shape["padding"], "tiled", True)
        bn = layers.BatchNorm2d(32, device=device, kernels="tiled")
        y = bn.forward(dy)
        results.append([dw.tobytes(), y.tobytes(), bn.backward(y).tobytes(), bn.buffers["running_var"].tobytes()])
    assert results[0] == results[1] == results[2]


EPILOGUES = {  # layer: (shape, direction); each is another kernel with an epilogue
    "tiled": ((2, 6, 5, 7, 9), "forward"),
    "dots": ((2, 4, 4, 7, 1), "forward"),
    "phases": ((2, 6, 5, 9, 7), "backward"),
    "gather": ((2, 6, 5, 3, 7), "backward"),
    "winograd": ((2, 6, 5, 20, 7), "forward"),
    "winograd backward": ((2, 6, 5, 20, 24), "backward"),
}


@pytest.mark.parametrize("layer", EPILOGUES)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "sigmoid"])
def test_epilogue_equals_the_activation_behind(device, rng, layer, activation):
    """To the bit, and at infinity too: a weight of -infinity makes results -infinity, and NaN where it meets 0 or +."""
    (n, h, w, ic, oc), direction = EPILOGUES[layer]
    rung = "winograd" if layer.startswith("winograd") else "tiled"
    stride, padding = ((2, 2), (0, 0)) if layer == "dots" else ((2, 2), (1, 1))
    weight = normal(rng, (4, 4, ic, oc))
    if rung == "tiled":  # Winograd's transforms subtract: infinity becomes NaN before the activation
        weight[1, 2, 0, 0] = -np.inf
    oh, ow = ref.conv2d_output_size((h, w), (4, 4), stride, padding)
    x, y = (n, h, w, ic), (n, oh, ow, oc)
    source, target = (x, y) if direction == "forward" else (y, x)
    source, weight = device.array(np.abs(normal(rng, source))), device.array(weight)
    op = ops.conv2d_forward if direction == "forward" else ops.conv2d_backward_input
    plain, behind, inside = (device.array(np.full(target, np.nan, np.float32)) for _ in range(3))
    op(device, source, weight, None, plain, stride, padding, rung, True)
    slopes = (0.2,) if activation == "leaky_relu" else ()
    getattr(ops, f"{activation}_forward")(device, plain, behind, *slopes)
    op(device, source, weight, None, inside, stride, padding, rung, True, ops.Epilogue(activation, 0.2))
    got, want = device.numpy(inside), device.numpy(behind)
    assert np.array_equal(got, want, equal_nan=True)
    if rung == "tiled":
        assert np.isneginf(device.numpy(plain)).any()
        if activation == "relu":
            assert np.isfinite(got[np.isneginf(device.numpy(plain))]).all()


def test_an_epilogue_that_is_none(device):
    x, w = device.zeros((1, 4, 4, 1)), device.zeros((4, 4, 1, 1))
    for given, message in (
        (
            ops.Epilogue("softplus"),
            "Epilogue: activation: need one of identity, relu, leaky_relu, tanh, sigmoid, got 'softplus'",
        ),
        (ops.Epilogue("leaky_relu", 0.0), "Epilogue: slope: need a number above 0, got 0.0"),
    ):
        with pytest.raises(UserError, match=f"^{message}$"):
            ops.conv2d_forward(device, x, w, None, device.empty((1, 1, 1, 1)), (1, 1), (0, 0), "tiled", True, given)


# Batch norm with its activation


@EVERY_TILE
@pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])
@pytest.mark.parametrize(
    "shape", [(2, 1, 1, 1), (3, 5, 7, 6), (4, 8, 8, 64), (2, 3, 5, 130), (5, 33, 31, 48), (1, 17, 3, 3)], ids=str
)
@pytest.mark.parametrize("training", [True, False])
def test_fused_batchnorm_against_float64(device, rng, shape, slope, training):
    c = shape[-1]
    bn = layers.BatchNorm2d(c, device=device, kernels="tiled")
    x, dy = normal(rng, shape) * 3 + 1, normal(rng, shape)
    gamma, beta, running = normal(rng, c), normal(rng, c), (normal(rng, c), normal(rng, c) ** 2 + 0.5)
    for target, values in zip(
        (bn.params["weight"], bn.params["bias"], bn.buffers["running_mean"], bn.buffers["running_var"]),
        (gamma, beta, *running),
        strict=True,
    ):
        device.upload(target, values)
    p, mean, var, *running_new = (
        ref.batchnorm_forward_train(x, gamma, beta, *running)
        if training
        else (ref.batchnorm_forward_eval(x, gamma, beta, *running), *running, *running)
    )
    y = device.numpy(bn.forward(device.array(x), training, slope))
    dx = device.numpy(bn.backward(device.array(dy)))
    # rtol: float32 throughout; statistics of few values amplify rounding where the variance is small
    assert_close(y, np.where(p > 0, p, slope * p), 1e-5, "y")
    for name, want in zip(("running_mean", "running_var"), running_new, strict=True):
        assert_close(device.numpy(bn.buffers[name]), want, 1e-5, name)
    g = np.where(p > 0, dy, slope * dy)
    backward = ref.batchnorm_backward_train if training else ref.batchnorm_backward_eval
    want_dx, dgamma, dbeta = backward(g, x, gamma, mean, var)
    scale = max(
        np.linalg.norm(want_dx), np.linalg.norm(g)
    )  # with two values a channel dx is all cancellation: measure against g
    assert np.linalg.norm(dx - want_dx) <= 2e-5 * scale and np.isfinite(dx).all()
    assert_close(device.numpy(bn.grads["weight"]), dgamma, 2e-5, "dgamma")
    assert_close(device.numpy(bn.grads["bias"]), dbeta, 2e-5, "dbeta")


def test_fused_statistics_survive_a_large_mean(device, rng):
    """Mean 1e4, deviation 1: a sum of squares in float32 would leave no digit of the variance."""
    x = (rng.standard_normal((64, 16, 16, 8)) + 1e4).astype(np.float32)
    bn = layers.BatchNorm2d(8, device=device, kernels="tiled", momentum=1.0)
    bn.forward(device.array(x))
    rows = x.reshape(-1, 8).astype(np.float64)
    assert_close(device.numpy(bn.buffers["running_mean"]), rows.mean(0), 1e-7, "mean")
    assert_close(device.numpy(bn.buffers["running_var"]), rows.var(0, ddof=1), 1e-5, "variance")


def unfuse(sequential):
    """Takes back what fuse did. Returns the kinds of layers that had been joined."""
    joined, plain = set(), []
    for layer in sequential.layers:
        if isinstance(layer, layers.Sequential):
            joined |= unfuse(layer)
        if pair := [v for v in vars(layer).values() if isinstance(v, layers.Layer)]:
            joined.add(tuple(type(part).__name__ for part in pair))
        plain += pair or [layer]
    sequential.layers = plain
    return joined


@pytest.mark.parametrize("kernels", ["tiled", "winograd", "best"])
def test_fused_networks_equal_unfused(device, kernels):
    """The same networks with fusion taken back: equal but for rounding."""
    made = []
    for fused in (True, False):
        g = networks.Generator(10, 3, 8, 32, device=device, kernels=kernels, random=Random(device, 1))
        d = networks.Discriminator(3, 8, 32, device=device, kernels=kernels, random=Random(device, 2))
        if not fused:
            assert unfuse(g.body) == {("BatchNorm2d", "ReLU"), ("ConvTranspose2d", "Tanh")}
            assert unfuse(d.logits) == {("BatchNorm2d", "LeakyReLU"), ("Conv2d", "LeakyReLU")}
        y = g.forward(device.array(normal(np.random.default_rng(2), (6, 1, 1, 10))))
        logits = d.logits.forward(y)
        dy = d.logits.backward(device.array(normal(np.random.default_rng(3), logits.shape)))
        g.backward(dy, input_grad=False)
        made.append([device.numpy(a) for a in (y, logits, dy, g.grad, d.grad)])
    for name, ours, want in zip(
        ("images", "logits", "d image", "gradients of G", "gradients of D"), *made, strict=True
    ):
        assert_close(ours, want, 1e-5, name)


def test_images_that_share_columns():
    """All of them, in parts that fit and keep pointers on 16 bytes."""
    for kind in ("cpu", "gpu"):
        for images in (1, 3, 4, 5, 64, 127, 1000):
            for floats in (1, 48 * 64, 12288, 65535, 65537, 1 << 18, 1 << 20, 1 << 29):
                part = tiles.column_images(kind, images, floats)
                assert 1 <= part <= images and (part * floats <= tiles.COLUMNS[kind] or part == 1)
                assert part == images or part % 4 == 0 or 4 * floats > tiles.COLUMNS[kind]


# What NVRTC says of the GPU's tiles


NOTHING = {"KNOWN": "(void)0"}


def gpu_tiles():
    """(file, kernel, constants) of the tiled and Winograd kernels as the GPU gets them:

    The seeds' layers and generic shapes.
    """
    for ic, oc, known in ((3, 64, True), (64, 128, True), (512, 1024, True), (100, 48, False), (3, 5, False)):
        sizes = f"H = 32, W = 32, IC = {ic}, OH = 16, OW = 16, OC = {oc}"
        promise = (
            {"KNOWN": f"{sizes}, KH = 4, KW = 4, stride_h = 2, stride_w = 2, pad_h = 1, pad_w = 1"}
            if known
            else NOTHING
        )
        forward = tiles.rows_product("gpu", 4096, oc, 4 * ic, ic, 16 * ic, True, known)
        back = tiles.rows_product("gpu", 4096, ic, 2 * oc, oc, 4 * oc, True, known)
        weight = tiles.columns_product("gpu", oc, 4 * ic, ic, True, known)
        yield "conv2d/forward_4_tiled.cu", "conv2d_forward", {**forward.macros(), **promise}
        yield "conv2d/backward_input_4_tiled.cu", "conv2d_backward_input", {**back.macros(), **promise}
        yield "conv2d/backward_weight_4_tiled.cu", "conv2d_backward_weight", {**weight.macros(), **promise}
        promise = {"KNOWN": sizes} if known else NOTHING
        forward = tiles.winograd_rows("gpu", oc, ic, 4 * ic, True, known)
        back = tiles.winograd_rows("gpu", ic, oc, oc, True, known)
        weight = tiles.winograd_columns("gpu", oc, ic, True, known)
        yield "conv2d/forward_5_winograd.cu", "conv2d_forward", {**forward.macros(), **promise}
        yield "conv2d/backward_input_5_winograd.cu", "conv2d_backward_input", {**back.macros(), **promise}
        yield "conv2d/backward_weight_5_winograd.cu", "conv2d_backward_weight", {**weight.macros(), **promise}
    for c in (64, 130, 3):
        groups = tiles.channel_groups("gpu", 8192, c)
        groups.pop("PARTS")
        for name in ("part_statistics", "activation_forward", "part_gradients", "activation_backward"):
            yield "batchnorm/fused.cu", f"batchnorm_{name}", {**groups, "KNOWN": f"C = {c}"}


def test_gpu_tiles_compile_without_spills():
    """Registers hold everything, no thread keeps a stack, on every generation.

    Sm_75 has 64 KiB of shared memory a block.
    """
    from concurrent.futures import ThreadPoolExecutor

    from dcgan_cupy.device import gpu, source

    try:
        gpu.resources('extern "C" __global__ void nothing() {}', "nothing", 90)
    except UserError as error:
        pytest.skip(str(error))
    jobs = [
        (source.load(file, tuple(macros.items())), name, arch, macros)
        for file, name, macros in gpu_tiles()
        for arch in (75, 80, 90, 120)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda job: gpu.resources(*job[:3]), jobs))
    for (_, name, arch, macros), used in zip(jobs, found, strict=True):
        assert (used.stack, used.spills) == (0, 0), f"sm_{arch} {name} {macros}: {used}"
