"""A network as an ONNX graph: images and z as in PyTorch, [N, C, H, W], any N; weights under the names of nn.Module."""

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
    layers = [(path, layer) for path, layer in network.build(RecorderDevice("cpu")).walk() if not layer.children()]
    nodes, at = [], first
    for i, (path, layer) in enumerate(layers):
        to = last if i == len(layers) - 1 else f"{path}.out"
        kind, inputs, attributes = _node(path, layer)
        nodes.append(helper.make_node(kind, [at, *inputs], [to], name=path, **attributes))
        at = to
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shapes[name]) for name in (first, last)]
    numbers = [numpy_helper.from_array(a, name) for name, a in weights.items() if not name.endswith(COUNT)]
    graph = helper.make_graph(nodes, network.part, values[:1], values[1:], numbers)
    model = helper.make_model(graph, producer_name="dcgan_cupy", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR
    helper.set_model_props(model, {name: str(int(a)) for name, a in weights.items() if name.endswith(COUNT)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


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
