"""28: a weight's gradient in parts."""

from itertools import pairwise

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import atomics
from .conv_cases import integers, sizes


def reference(x, dy, part, stride_h, stride_w, pad_h, pad_w):
    S, KH, KW = part[:3]
    N, OH, OW, _ = dy.shape
    padded = np.pad(x, ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
    sums = np.zeros(part, np.float32)
    for n, kh, kw in np.ndindex(N, KH, KW):
        seen = padded[n, kh : kh + OH * stride_h : stride_h, kw : kw + OW * stride_w : stride_w][:OH, :OW]
        sums[n % S, kh, kw] += np.einsum("hwi,hwo->io", seen, dy[n])
    return {"part": sums}


def cases(rng):
    def case(shape, S):
        s = sizes(shape)
        x, dy = (integers(rng, *(s[k] for k in names.split())) for names in ("N H W IC", "N OH OW OC"))
        part = Out((S, *(int(s[k]) for k in ("KH", "KW", "IC", "OC"))))
        return Case({"x": x, "dy": dy, "part": part} | s, (-(-int(np.prod(part.shape[1:])) // 64), S), 64)

    return [
        case((2, 3, 4, 1, 1, 2, 2, 1, 1, 0, 0), 2),
        case((5, 5, 4, 2, 3, 3, 2, 2, 1, 1, 0), 3),
        case((7, 4, 6, 2, 8, 4, 4, 2, 2, 1, 1), 4),
    ]


def all_images(x, dy, part, stride_h, stride_w, pad_h, pad_w):
    total = reference(x, dy, part, stride_h, stride_w, pad_h, pad_w)["part"].sum(axis=0)
    return {"part": np.broadcast_to(total, part)}


def one_image(x, dy, part, stride_h, stride_w, pad_h, pad_w):
    S = part[0]
    return reference(x[:S], dy[:S], part, stride_h, stride_w, pad_h, pad_w)


def in_runs(x, dy, part, stride_h, stride_w, pad_h, pad_w):
    """Part s adds neighbouring images."""
    S, N = part[0], len(x)
    each = -(-N // S)
    return cut(range(0, S * each + 1, each), x, dy, part, stride_h, stride_w, pad_h, pad_w)


def in_even_runs(x, dy, part, stride_h, stride_w, pad_h, pad_w):
    """The same, in runs that differ by one image at most."""
    S, N = part[0], len(x)
    return cut([s * N // S for s in range(S + 1)], x, dy, part, stride_h, stride_w, pad_h, pad_w)


def cut(ends, x, dy, part, *rest):
    """Part s adds the images from ends[s] up to ends[s + 1]."""
    return {"part": np.stack([reference(x[a:b], dy[a:b], (1, *part[1:]), *rest)["part"][0] for a, b in pairwise(ends)])}


EXERCISE = exercise(
    __file__,
    "a long sum, shared out",
    "13-split-sums",
    "weight_gradient_parts",
    reference,
    cases,
    goals=(atomics(0),),
    mistakes=(
        Mistake("each part adds all images: the sum of the parts is S times too much", all_images),
        Mistake("each part adds its first image only; the next is S images further", one_image),
        Mistake("the images of a part are s, s + S, s + 2 S, ..., not neighbours", in_runs),
        Mistake("the images of a part are s, s + S, s + 2 S, ..., not neighbours", in_even_runs),
    ),
    hints=(
        "blockIdx.y says which part this is, gridDim.y how many there are.",
        "It is the loop of exercise 03, over images: where does it begin, and by how much does it step?",
        "for (int n = blockIdx.y; n < N; n += gridDim.y); and the part begins at blockIdx.y * weights.",
    ),
)
