"""python -m bench.course.stepper [--out FILE] [--check]: the page that steps through the convolutions, tap by tap.

One HTML file with everything in it. Its numbers are drawn here with a fixed seed, its lines of CUDA are cut from the
kernels, and dcgan_cupy.reference answers the cases by which the page tests its own arithmetic when it is opened.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np

from dcgan_cupy import reference

from .marks import COURSE, ROOT, page

PARTS = Path(__file__).resolve().parent / "step"
OUT = COURSE / "step.html"
LIMITS = {"H": (1, 10), "W": (1, 10), "K": (1, 6), "S": (1, 4), "P": (0, 4), "O": (0, 3)}
LARGEST = 16  # rows and columns of any grid: more cannot be read on a phone
NUMBERS = {"x": (1, 2, 3, 4, 5), "w": (-2, -1, 1, 2), "dy": (-3, -2, -1, 1, 2, 3)}  # no zeros: those are the kernels'

# kind: (title, file, text of the first line, lines, texts of the lines that skip a row, skip a column, and multiply)
EXCERPTS = [
    ("conv2d_forward", "the convolution", "conv2d/forward_1_textbook.cu", "for (int kh = 0", 11),
    ("conv2d_backward_input", "the gather", "conv2d/backward_input_1_textbook.cu", "for (int kh = 0", 11),
    ("conv2d_backward_weight", "the weights' gradient", "conv2d/backward_weight_1_textbook.cu", "for (int oh = 0", 9),
    ("conv_transpose2d_forward", "the gather", "conv2d/backward_input_1_textbook.cu", "for (int kh = 0", 11),
    ("conv_transpose2d_forward", "the phases", "conv2d/backward_input_1_phases.cu", "int a_h", 13),
    ("conv_transpose2d_forward", "the zeros of the four steps", "conv_transpose2d/zero_insert.cu", "int down", 5),
]
SKIPS_ROW = r"\((h|up|oh) < 0.*continue"
SKIPS_COLUMN = r"\((col|left|ow) < 0.*continue"
MULTIPLIES = r"(sum|image) \+= .*\*"

# kind, H W, KH KW, stride, padding, output_padding: odd sizes, H and W unlike, strides above the kernel, p' below 0
CASES = [
    ("conv2d_forward", (5, 7), (3, 3), (2, 2), (1, 1), (0, 0)),
    ("conv2d_forward", (6, 6), (4, 4), (2, 2), (1, 1), (0, 0)),
    ("conv2d_forward", (7, 4), (2, 3), (3, 1), (0, 2), (0, 0)),
    ("conv2d_forward", (3, 2), (5, 4), (1, 2), (2, 3), (0, 0)),
    ("conv2d_backward_input", (5, 7), (3, 3), (2, 2), (1, 1), (0, 0)),
    ("conv2d_backward_input", (8, 5), (2, 3), (4, 3), (0, 1), (0, 0)),
    ("conv2d_backward_input", (6, 7), (4, 1), (1, 2), (3, 0), (0, 0)),
    ("conv2d_backward_weight", (5, 7), (3, 3), (2, 2), (1, 1), (0, 0)),
    ("conv2d_backward_weight", (7, 4), (2, 3), (3, 1), (0, 2), (0, 0)),
    ("conv_transpose2d_forward", (3, 4), (4, 4), (2, 2), (1, 1), (0, 0)),
    ("conv_transpose2d_forward", (2, 3), (3, 2), (4, 3), (1, 0), (3, 1)),
    ("conv_transpose2d_forward", (4, 5), (1, 2), (2, 3), (1, 1), (1, 0)),
    ("conv_transpose2d_forward", (3, 2), (5, 3), (1, 2), (3, 0), (0, 1)),
]


def draw(rng, name: str, shape) -> np.ndarray:
    return rng.choice(NUMBERS[name], shape)


def drawn_spec(rng, kind: str, hw, kernel, stride, padding, extra) -> dict:
    """The spec that the page's compute() takes, with drawn arrays."""
    out = (1, 1)  # a transposed convolution's forward has no dy
    if kind.startswith("conv2d"):
        out = reference.conv2d_output_size(hw, kernel, stride, padding)
    names = ("H", "W", "KH", "KW", "stride_h", "stride_w", "pad_h", "pad_w", "extra_h", "extra_w")
    spec = dict(zip(names, (*hw, *kernel, *stride, *padding, *extra)))
    shapes = {"x": hw, "w": kernel, "dy": out}
    return spec | {name: draw(rng, name, shape).tolist() for name, shape in shapes.items()}


def answer(kind: str, spec: dict) -> np.ndarray:
    """What the reference says of it: the result's rows, one image and one channel."""
    x, w, dy = (np.array(spec[name], float) for name in ("x", "w", "dy"))
    hw, kernel, stride, padding, extra = (
        (spec[a], spec[b])
        for a, b in (("H", "W"), ("KH", "KW"), ("stride_h", "stride_w"), ("pad_h", "pad_w"), ("extra_h", "extra_w"))
    )
    x, w, dy = x[None, :, :, None], w[:, :, None, None], dy[None, :, :, None]
    if kind == "conv2d_forward":
        return reference.conv2d_forward(x, w, None, stride, padding)[0, :, :, 0]
    if kind == "conv2d_backward_input":
        return reference.conv2d_backward_input(dy, w, hw, stride, padding)[0, :, :, 0]
    if kind == "conv2d_backward_weight":
        return reference.conv2d_backward_weight(x, dy, kernel, stride, padding)[:, :, 0, 0]
    return reference.conv_transpose2d_forward(x, w, None, stride, padding, extra)[0, :, :, 0]


def cases() -> list[dict]:
    rng = np.random.default_rng(16)
    made = []
    for kind, *sizes in CASES:
        spec = drawn_spec(rng, kind, *sizes)
        name = f"{kind} {sizes}"
        made.append({"name": name, "kind": kind, "spec": spec, "values": answer(kind, spec).astype(int).tolist()})
    return made


def excerpt(kind: str, title: str, file: str, first: str, count: int) -> dict:
    """Lines of a kernel, and which of them skips a row, skips a column and multiplies."""
    lines = (ROOT / "kernels" / file).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if first in line)
    text = lines[start : start + count]
    indent = len(text[0]) - len(text[0].lstrip())
    marked = {
        name: [number for number, line in enumerate(text) if re.search(pattern, line)]
        for name, pattern in (("row", SKIPS_ROW), ("column", SKIPS_COLUMN), ("", MULTIPLIES))
    }
    shown = [line[indent:] if not line[:indent].strip() else line for line in text]
    return {"kind": kind, "title": title, "file": f"kernels/{file}", "line": start + 1, "text": shown, "marked": marked}


def data() -> dict:
    rng = np.random.default_rng(7)
    numbers = {name: draw(rng, name, LARGEST * LARGEST).tolist() for name in NUMBERS}
    return {
        "numbers": numbers,
        "limits": LIMITS,
        "largest": LARGEST,
        "excerpts": [excerpt(*e) for e in EXCERPTS],
        "cases": cases(),
    }


def as_json(value: dict) -> str:
    """A line for each entry, and for each entry of its lists of objects; safe inside <script>."""

    def compact(item) -> str:
        return json.dumps(item, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")

    def entry(item) -> str:
        objects = isinstance(item, list) and isinstance(item[0], dict)
        return "[\n" + ",\n".join(map(compact, item)) + "\n]" if objects else compact(item)

    return "{\n" + ",\n".join(f"{compact(name)}:{entry(item)}" for name, item in value.items()) + "\n}"


@page("step.html")
def make() -> str:
    parts = {name: (PARTS / name).read_text(encoding="utf-8") for name in ("page.css", "arithmetic.js", "page.js")}
    parts["data"] = as_json(data())
    text = (PARTS / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(.+?)\}\}", lambda match: parts[match[1]].rstrip("\n"), text)


def main(arguments=None) -> int:
    p = argparse.ArgumentParser(prog="python -m bench.course.stepper", description=__doc__.split("\n")[0])
    p.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="where to write it (default: %(default)s)")
    p.add_argument("--check", action="store_true", help="compare, write nothing")
    given = p.parse_args(arguments)
    if given.check:
        same = given.out.is_file() and given.out.read_text(encoding="utf-8") == make()
        print(f"{given.out.name} is {'' if same else 'not '}what the script makes")
        return 0 if same else 1
    given.out.write_text(make(), encoding="utf-8")
    print(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
