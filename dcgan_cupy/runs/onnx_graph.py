"""A network as an ONNX graph: images and z as in PyTorch, [N, C, H, W], any N; weights under the names of nn.Module."""

from .. import ops
from ..device import RecorderDevice
from ..layers import BatchNorm2d, Conv2d, ConvTranspose2d, LeakyReLU, ReLU, Sigmoid, Tanh
from ..sizes import sides

OPSET, IR = 17, 8  # of 2022: what any runtime of today reads
COUNT = "num_batches_tracked"  # no operator takes it: it travels beside the graph, so that nothing is lost


def model_bytes(network, weights: dict) -> bytes:
    """The serialised model.   network: a shapes.Described; weights: its state_dict. Needs the onnx extra."""
    import onnx
    from onnx import helper, numpy_helper

    g = network.part == "generator"
    config = network.config
    image = ["batch", config.channels, *sides(config.image_size)]
    shapes = {"z": ["batch", config.z_dim, 1, 1], "image": image, "probability": ["batch", 1, 1, 1]}
    first, last = ("z", "image") if g else ("image", "probability")
    shapes["label"] = ["batch"]
    layers = [(path, layer) for path, layer in network.build(RecorderDevice("cpu")).walk() if not layer.children()]
    nodes, at = _one_hot(helper, config.n_classes) if config.n_classes else [], first
    size = (1, 1) if g else sides(config.image_size)
    for i, (path, layer) in enumerate(layers):
        to = last if i == len(layers) - 1 else f"{path}.out"
        kind, inputs, attributes = _node(path, layer)
        if isinstance(layer, Conv2d | ConvTranspose2d):
            if config.n_classes:
                nodes += _joined(helper, path, at, size)
                at = f"{path}.in"
            size = _size(layer, size)
        nodes.append(helper.make_node(kind, [at, *inputs], [to], name=path, **attributes))
        at = to
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shapes[name]) for name in (first, last)]
    if config.n_classes:
        values.insert(1, helper.make_tensor_value_info("label", onnx.TensorProto.INT64, shapes["label"]))
    numbers = [numpy_helper.from_array(a, name) for name, a in weights.items() if not name.endswith(COUNT)]
    graph = helper.make_graph(nodes, network.part, values[:-1], values[-1:], numbers)
    model = helper.make_model(graph, producer_name="dcgan_cupy", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR
    helper.set_model_props(model, {name: str(int(a)) for name, a in weights.items() if name.endswith(COUNT)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _one_hot(helper, classes: int) -> list:
    """The operators from `label` to one_hot [batch, classes, 1, 1]. Its constants are no initialisers: weights are."""
    ints = {"label.classes": [classes], "label.axes": [2, 3]}
    return [
        *(helper.make_node("Constant", [], [name], value_ints=values) for name, values in ints.items()),
        helper.make_node("Constant", [], ["label.values"], value_floats=[0.0, 1.0]),
        helper.make_node("OneHot", ["label", "label.classes", "label.values"], ["label.rows"], axis=-1),
        helper.make_node("Unsqueeze", ["label.rows", "label.axes"], ["one_hot"]),
    ]


def _joined(helper, path: str, at: str, size: tuple[int, int]) -> list:
    """The operators that join the label's maps to a convolution's input of this height and width."""
    return [
        helper.make_node("Constant", [], [f"{path}.size"], value_ints=[1, 1, *size]),
        helper.make_node("Expand", ["one_hot", f"{path}.size"], [f"{path}.maps"]),
        helper.make_node("Concat", [at, f"{path}.maps"], [f"{path}.in"], axis=1),
    ]


def _size(layer, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what a convolution makes of an image of this size."""
    made = ops.conv2d_output_size if isinstance(layer, Conv2d) else ops.conv_transpose2d_output_size
    sizes = zip(size, layer.kernel_size, layer.stride, layer.padding)
    more = () if isinstance(layer, Conv2d) else (0,)  # no output padding
    h, w = (made("export", *each, *more) for each in sizes)
    return h, w


def _node(path: str, layer) -> tuple[str, list[str], dict]:
    """(operator, names of its numbers, attributes) of a layer."""
    if isinstance(layer, Conv2d | ConvTranspose2d):
        sizes = {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": [*layer.padding, *layer.padding]}
        kind = "Conv" if isinstance(layer, Conv2d) else "ConvTranspose"
        return kind, [f"{path}.{name}" for name in ("weight", "bias") if name in layer.params], sizes
    if isinstance(layer, BatchNorm2d):
        names = ("weight", "bias", "running_mean", "running_var")
        return "BatchNormalization", [f"{path}.{name}" for name in names], {"epsilon": layer.eps}
    if isinstance(layer, LeakyReLU):
        return "LeakyRelu", [], {"alpha": float(layer.slope)}
    return {ReLU: "Relu", Tanh: "Tanh", Sigmoid: "Sigmoid"}[type(layer)], [], {}
