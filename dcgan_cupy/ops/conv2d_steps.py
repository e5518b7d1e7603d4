"""The rungs between the textbook and the tiled one (choices.STEPS), each a single idea beyond the one before.

For study: the launches are as plain as the kernels, one a direction, without scratch memory, and the tiles are the same
for every layer and device.
"""

from .tiles import BLOCK, ceil_div

FILES = {"shared": "2_shared", "registers": "3_registers"}
TILES = {"shared": {"BM": 16, "BN": 16, "BK": 16}, "registers": {"BM": 64, "BN": 64, "BK": 16, "TM": 4, "TN": 4}}
"""What the kernels of a rung are compiled with: the one place that knows their tiles."""


def forward(dev, rung, x, w, bias, y, sizes):
    oc = y.shape[3]
    _tiles(dev, "forward", rung, y.size // oc, oc, 1, (x, w, bias, y, *sizes))


def backward_input(dev, rung, dy, w, bias, dx, stride, sizes):
    arguments = (dy, w, bias, dx, *sizes)
    if rung == "phases":
        kernel = dev.kernel("conv2d/backward_input_1_phases.cu", "conv2d_backward_input")
        return kernel(ceil_div(dx.size, BLOCK), BLOCK, *arguments)
    n, h, width, ic = dx.shape
    largest = n * ceil_div(h, stride[0]) * ceil_div(width, stride[1])  # pixels of a phase
    _tiles(dev, "backward_input", rung, largest, ic, stride[0] * stride[1], arguments)


def backward_weight(dev, rung, x, dy, dw, sizes):
    oc = dw.shape[3]
    _tiles(dev, "backward_weight", rung, dw.size // oc, oc, 1, (x, dy, dw, *sizes))


def _tiles(dev, direction, rung, rows, columns, phases, arguments):
    """Launches the rung's kernel over results of rows x columns, of each phase."""
    tile = TILES[rung]
    kernel = dev.kernel(f"conv2d/{direction}_{FILES[rung]}.cu", f"conv2d_{direction}", **tile)
    grid = ceil_div(rows, tile["BM"]), ceil_div(columns, tile["BN"]), phases
    kernel(grid, tile["BM"] * tile["BN"] // (tile.get("TM", 1) * tile.get("TN", 1)), *arguments)
