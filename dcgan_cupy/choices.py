"""What can be chosen: each fact once, for the settings, the commands and the code that obeys them. Imports nothing."""

STEPS = ("phases", "shared", "registers")
"""The rungs for study between the definition and the tiled kernels: one idea each (ops/conv2d_steps.py)."""

RUNGS = ("textbook", "direct", *STEPS, "tiled", "winograd", "best")
"""The rungs of the convolutions. `direct` is `textbook` but for the transposed convolution, where it gathers
(conv2d_backward_input) instead of inserting zeros; `phases` gathers without the taps that miss. `shared` and
`registers` are for study. `winograd` is for kernel 4, stride 2, padding 1, and `tiled` elsewhere. `best` takes for each
layer and direction what was measured as fastest (ops/rungs.py)."""

FUSED = ("tiled", "winograd", "best")
"""The rungs whose layers are joined with the activations behind them (layers/fusion.py)."""

DEFAULT_RUNG = "best"
"""The rung of the layers where none is named, on every device."""

NETWORKS = ("seeds", "example")
"""The networks: the seeds' (biases in D's first layer and in both last ones), or those of PyTorch's examples/dcgan."""

FORMATS = ("folder", "zip", "tar", "idx", "cifar", "pickle", "lmdb", "mat", "numpy")
"""Kinds of datasets, as --format names them."""

SPLITS = ("train", "test", "all")
"""Which images of a dataset, where it tells them apart."""

ON_BAD = ("skip", "fail")
"""What to do with images that cannot be read."""

LATENTS = ("uniform", "normal")
"""The prior of z: uniform in [-1, 1] (the paper's) or N(0, 1)."""

DECAYS = ("linear",)
"""How a learning rate may fall."""

EXPORTS = ("safetensors", "pth", "npz", "onnx")
"""Kinds of files that weights are written to."""

LOSSES = ("non-saturating", "minimax")
"""G's loss: -log D(G(z)), or log(1 - D(G(z)))."""

DEVICES = ("auto", "cpu", "gpu")
"""Where kernels run; auto: the GPU if one answers, else the CPU."""
