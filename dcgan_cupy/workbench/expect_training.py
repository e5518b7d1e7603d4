"""What batch norm, losses, Adam, random numbers and pictures should hold: rules for expect_ours.py, in float64.

A rule returns what each output should hold, or (what of it, that): statistics are kept in parts that only their sum
fixes.
"""

import numpy as np

from .. import reference

F32 = np.float32


def _f64(a) -> np.ndarray:
    return np.asarray(a, np.float64)


def _statistics(a):
    c = a["x"].shape[-1]
    running = a["running_mean"], a["running_var"]
    made = reference.batchnorm_forward_train(a["x"], np.ones(c), np.zeros(c), *running, momentum=F32(a["momentum"]))
    names = ("mean", "var", "running_mean", "running_var")
    return dict(zip(names, made[1:])) | {"num_batches_tracked": a["num_batches_tracked"] + 1}


def _whole(s) -> np.ndarray:
    """Of statistics [5, C] = (mean, low, rstd, scale, shift): what their parts make together."""
    mean, low, rstd, scale, shift = _f64(s)
    return np.stack([mean + low, rstd, scale, shift + low * scale])


def _joined(a, mean, var):
    rstd = 1 / np.sqrt(_f64(var) + F32(a["eps"]))
    return _whole, np.stack([_f64(mean), rstd, a["gamma"] * rstd, _f64(a["beta"])])


def _batch(a):
    made = _statistics(a)
    return made | {"statistics": _joined(a, made.pop("mean"), made.pop("var"))}


def _sums(a):
    ones = np.ones(a["x"].shape[-1])
    _, dgamma, dbeta = reference.batchnorm_backward_train(
        a["dy"], a["x"], ones, a["mean"], a["var"], float(F32(a["eps"]))
    )
    return {"sum_dy": dbeta, "sum_dy_xhat": dgamma}


def _backward_input(a):
    x, dy, rows = _f64(a["x"]), _f64(a["dy"]), a["x"].size // a["x"].shape[-1]
    rstd = 1 / np.sqrt(_f64(a["var"]) + F32(a["eps"]))
    if a["sum_dy"] is None:
        return {"dx": a["gamma"] * rstd * dy}
    pulled = dy - a["sum_dy"] / rows - (x - a["mean"]) * rstd * a["sum_dy_xhat"] / rows
    return {"dx": a["gamma"] * rstd * pulled}


def _activation_forward(a):
    mean, _, _, scale, shift = _f64(a["statistics"])
    y = (a["x"] - mean) * scale + shift
    return {"y": np.where(y > 0, y, F32(a["slope"]) * y)}


def _activation_backward(a):
    mean, low, rstd, scale, shift = _f64(a["statistics"])
    x, dy = _f64(a["x"]), _f64(a["dy"])
    rows, axes = x.size // x.shape[-1], tuple(range(x.ndim - 1))
    g = np.where((x - mean) * scale + shift > 0, dy, F32(a["slope"]) * dy)
    dgamma, dbeta = (g * (x - mean - low) * rstd).sum(axis=axes), g.sum(axis=axes)
    slope = rstd * dgamma / rows
    pull, made = np.stack([dbeta / rows - low * slope, slope]), {}
    if a["training"] or a["dgamma"] is not None:
        made["pull"] = pull
    if a["dgamma"] is not None:
        made |= {"dgamma": a["dgamma"] + dgamma, "dbeta": a["dbeta"] + dbeta}
    if a["dx"] is not None:
        made["dx"] = scale * (g - pull[0] - (x - mean) * pull[1]) if a["training"] else scale * g
    return made


def _loss(rule, values, probability):
    def made(a):
        loss, gradient = rule(a[values], a["target"])
        scale = float(F32(a.get("scale", 1.0)))
        return {"result": np.array([scale * loss, probability(a[values]).mean()]), "gradient": scale * gradient}

    return made


def _adam_advance(a):
    t, lr = a["state"][0] + 1, a["state"][1] * max(1 - a["state"][0] * a.get("fall", 0.0), 0.0)
    factors = np.array([lr / (1 - a["beta1"] ** t), 1 / np.sqrt(1 - a["beta2"] ** t)])
    return {"state": np.array([t, a["state"][1]]), "factors": factors}


def _adam_step(a):
    g, (step, root) = _f64(a["grad"]), _f64(a["factors"])
    m = F32(a["beta1"]) * _f64(a["m"]) + F32(1 - a["beta1"]) * g
    v = F32(a["beta2"]) * _f64(a["v"]) + F32(1 - a["beta2"]) * g * g
    return {"m": m, "v": v, "param": a["param"] - step * m / (np.sqrt(v) * root + F32(a["eps"]))}


def _words(a) -> np.ndarray:
    """One word of Philox for each number of `out`."""
    seed, stream, offset = (int(v) for v in a["state"])
    counts = np.arange(-(-a["out"].size // 4), dtype=np.uint64) + np.uint64(offset)
    halves = [counts & np.uint64(0xFFFFFFFF), counts >> np.uint64(32)]
    halves += [np.full_like(counts, stream & 0xFFFFFFFF), np.full_like(counts, stream >> 32)]
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
    words = reference.philox4x32_10(np.stack(halves, axis=-1).astype(np.uint32), key)
    return words.reshape(-1)[: -(-a["out"].size // 4) * 4]


def _normal(a):
    words = _words(a).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log(((words[:, 0] >> 8) + 1.0) * 2.0**-24))
    angle = 2 * np.pi * (words[:, 1] >> 8) * 2.0**-24
    turned = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
    return {"out": F32(a["mean"]) + F32(a["std"]) * turned[: a["out"].size]}


def _uniform(a):
    n, low, high = a["out"].size, F32(a["low"]), F32(a["high"])
    return {"out": np.full(n, low) if low == high else reference.random_uniform(_words(a)[:n], low, high)}


def _images(a):
    count = a["y"].shape[0]
    picked = a["images"][:count] if a.get("index") is None else a["images"][a["index"]]
    y = reference.images_to_float(picked)
    if a.get("flip") is None:
        return {"y": y}
    return {"y": np.where(a["flip"].reshape(-1, 1, 1, 1) != 0, reference.horizontal_flip(y), y)}


RELATION = ("classes", "size", "stride", "padding", "transposed")
TRAINING = {
    "batchnorm_statistics": _statistics,
    "batchnorm_forward": lambda a: {
        "y": reference.batchnorm_forward_eval(a["x"], a["gamma"], a["beta"], a["mean"], a["var"], float(F32(a["eps"])))
    },
    "batchnorm_backward_sums": _sums,
    "batchnorm_backward_input": _backward_input,
    "batchnorm_batch": _batch,
    "batchnorm_running_statistics": lambda a: {"statistics": _joined(a, a["running_mean"], a["running_var"])},
    "batchnorm_activation_forward": _activation_forward,
    "batchnorm_activation_backward": _activation_backward,
    "bce": _loss(reference.bce, "prob", lambda p: p.astype(np.float64)),
    "bce_with_logits": _loss(reference.bce_with_logits, "logits", reference.sigmoid_forward),
    "adam_advance": _adam_advance,
    "adam_step": _adam_step,
    "random_uniform": _uniform,
    "random_normal": _normal,
    "random_integers": lambda a: {
        "out": (_words(a)[: a["out"].size].astype(np.uint64) * np.uint64(a["below"])) >> np.uint64(32)
    },
    "random_advance": lambda a: {"state": a["state"] + np.array([0, 0, a["counters"]], np.uint64)},
    "images_to_float": _images,
    "concat_label_add": lambda a: {"y": reference.concat_label_add(a["x"], a["y"])},
    "label_maps_backward": lambda a: {
        "dw": reference.label_maps_backward(a["dy"], a["label"], a["dw"], *(a[n] for n in RELATION))
    },
}
