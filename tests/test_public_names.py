"""The names that others build on: signatures of the public classes and functions, and the README's Python, run."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import dcgan_cupy.train
from dcgan_cupy import config, device, layers, losses, networks, ops, optim, random, trainer
from dcgan_cupy.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent

SIGNATURES = {  # positional parameters with their defaults, then what must be among the keywords
    layers.Conv2d: (
        "in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True",
        {"device", "kernels", "groups", "dilation"},
    ),
    layers.ConvTranspose2d: (
        "in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, bias=True",
        {"device", "kernels", "groups", "dilation"},
    ),
    layers.BatchNorm2d: ("num_features, eps=1e-05, momentum=0.1", {"device", "kernels"}),
    layers.ReLU: ("", {"device"}),
    layers.LeakyReLU: ("slope=0.2", {"device"}),
    layers.Tanh: ("", {"device"}),
    layers.Sigmoid: ("", {"device"}),
    losses.bce: ("prob, target", {"device", "scale", "gradient", "result"}),
    losses.bce_with_logits: ("logits, target", {"device", "scale", "gradient", "result"}),
    optim.Adam: ("param, grad, lr=0.0002, beta1=0.5, beta2=0.999, eps=1e-08", {"device"}),
    networks.Generator: ("z_dim=100, channels_img=3, features_g=64, image_size=64", {"device", "kernels", "random"}),
    networks.Discriminator: ("channels_img=3, features_d=64, image_size=64", {"device", "kernels", "random"}),
    trainer.Trainer: ("config, device", set()),
    device.get: ("name='auto'", set()),
}


@pytest.mark.parametrize("made", SIGNATURES, ids=lambda made: made.__name__)
def test_signatures(made):
    positional, keywords = SIGNATURES[made]
    parameters = inspect.signature(made).parameters.values()
    shown = [
        p.name if p.default is p.empty else f"{p.name}={p.default!r}"
        for p in parameters
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    assert ", ".join(shown) == positional or (positional and ", ".join(shown).startswith(positional + ", "))
    assert keywords <= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_the_device_and_a_layer_as_described(device):
    x = device.array(np.ones((1, 4, 4, 2), np.float32))
    y = device.empty((1, 2, 2, 3), np.float32)
    w = device.array(np.ones((4, 4, 2, 3), np.float32))
    sizes = map(np.int32, (1, 4, 4, 2, 2, 2, 3, 4, 4, 2, 2, 1, 1))
    k = device.kernel("conv2d/forward_1_textbook.cu", "conv2d_forward")
    k(1, 256, x, w, None, y, *sizes, shared_bytes=0)
    assert (device.numpy(y) == 18).all() and isinstance(device.reason, str)
    with pytest.raises(TypeError):
        device.kernel("elementwise.cu", "fill")(1, 256, y, 1.0, 12)
    layer = layers.Conv2d(2, 3, 4, 2, 1, device=device)
    dx = layer.backward(layer.forward(x, training=True), param_grads=True)
    assert dx.shape == x.shape and set(layer.params) == set(layer.grads) == {"weight", "bias"} and layer.buffers == {}


def test_a_step_as_described(device):
    cfg = config.Config(image_size=16, features_g=2, features_d=2, batch_size=2, steps=1).resolved(device.kind)
    step = trainer.Trainer(cfg, device).step(device.array(np.zeros((2, 16, 16, 3), np.float32)))
    assert step._fields[:4] == ("loss_d", "loss_g", "d_real", "d_fake") and all(np.isfinite(step))


def test_commands_and_modules_are_where_people_look():
    assert {"train", "sample", "walk", "export", "import", "runs", "data", "inspect"} <= set(COMMANDS)
    assert callable(dcgan_cupy.train.main) and random.Random and ops.conv2d_forward


@pytest.mark.parametrize("name", ["README.md", "kernels/README.md"])
def test_python_in_the_papers_runs(name, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), flags=re.M | re.S)
    assert blocks
    for block in blocks:
        small = block.replace("features_g=64", "features_g=4")  # the same names, in a second
        exec(compile(small, name, "exec"), {})
