"""Sizes that nobody gave: blocks, grids and scalars that leave a ragged tail, arrays as long as the kernel reaches."""

import re
from itertools import combinations_with_replacement

import numpy as np

from .items import Item
from .tokens import Token, closing
from .user_types import Argument

# Sizes that no block divides: a tail guard that is wrong shows itself.
MANY = (1000, 7, 11, 5), (77, 3, 5, 2)  # and others, for a second run
TWO_DIMENSIONS = (50, 70, 45, 13), (33, 17, 21, 6)
SMALL = (
    (r"^e_|^end|_end$|last|right$|bottom$|^hi$", 3),
    (r"^s_|left$|^top$", 0),
    (r"iter|step|time|epoch|round|pass|depth|level|radius|halo|pad|dilat", 2),
    (r"stride|incr|inc$|scale|factor|step|offset", 1),
    (r"start|begin|first|shift|seed|device|root|source|src$|axis|dim$|idx|index|id$|flag|mode|lo$|low|current", 0),
    (r"kernel|filter|mask|window|ksize", 3),
    (r"channel|^c$|^ic$|^oc$|depth", 3),
    (r"bins?|buckets?|classes|num_bins", 32),
    (r"head|^nh$", 2),
    (r"batch|^b$", 2),
)
# Numbers that are a block's threads, or the distance of rows.
THREADS = re.compile(r"threads?$|threads?_?per|^b(?:lock)?_?(?:size|dim)|^tpb$", re.I)
WIDTHS = re.compile(r"^(?:\w*width|\w*cols?|[wW]|nx|dim_?x|img_?w)$")
PITCHES = re.compile(r"^(?:s|\w*pitch|\w*stride|ld\w?)$", re.I)
CONVOLVES = re.compile(r"kernel|filter|pad|ksize|dilat|^k[hwx]?$", re.I)
SIZE = re.compile(
    r"^n\w{0,3}$|^[mk]$|size|len|count|num|width|height|rows?|cols?|total|elem|points|^[whd]$|^n[xyz]$|dim|limit|max|end",
    re.I,
)


def propose_block(kernel: Item) -> tuple[int, ...]:
    """Threads of a block: as __launch_bounds__ or the shape of a shared array says, else 256, or 16 x 16."""
    for i, t in enumerate(kernel.head):
        if t.text == "__launch_bounds__":
            inside = kernel.head[i + 2 : closing(kernel.head, i + 1)]
            number = _constant(inside[: next((k for k, x in enumerate(inside) if x.text == ","), len(inside))])
            if number and number <= 1024:
                return (number,)
    used = {a.text + "." + c.text for a, b, c in zip(kernel.body, kernel.body[1:], kernel.body[2:]) if b.text == "."}
    shapes = shared_shapes(kernel.body)
    if "threadIdx.z" in used:
        return (8, 8, 4)
    if "threadIdx.y" in used:
        for dims in shapes:
            if len(dims) > 1 and 4 <= dims[0] <= 32:
                return (dims[0], dims[0])
        return (16, 16)
    for dims in shapes:
        if len(dims) == 1 and dims[0] in (32, 64, 128, 256, 512, 1024):
            return (dims[0],)
    for dims in shapes:
        if len(dims) == 2 and 4 <= dims[0] <= 32 and "blockIdx.y" in used:
            return (dims[0],)
    return (256,)


def shared_shapes(body: list[Token]) -> list[list[int]]:
    """The sizes of the __shared__ arrays in a text, as far as they are numbers."""
    made = []
    for i, t in enumerate(body):
        if t.text != "__shared__":
            continue
        dims, k = [], i
        while k < len(body) and body[k].text != ";":
            if body[k].text == "[":
                end = closing(body, k)
                number = _constant(body[k + 1 : end])
                if number:
                    dims.append(number)
                k = end
            k += 1
        if dims:
            made.append(dims)
    return made


def _constant(found: list[Token]) -> int | None:
    text = "".join(t.text for t in found)
    if not re.fullmatch(r"[\d+*/() -]+", text) or not re.search(r"\d", text) or "**" in text:
        return None
    try:
        return int(eval(text.replace("/", "//"), {"__builtins__": {}}))  # digits and signs only
    except (SyntaxError, ZeroDivisionError, TypeError):
        return None


def propose_scalars(
    parameters: tuple[Argument, ...], two: bool, threads: int = 256, second: bool = False
) -> dict[str, str]:
    """A value for each number, by its type and name.

    threads: of a block, for what is named so.   second: other sizes than at first.
    """
    sizes = list((TWO_DIMENSIONS if two else MANY)[second])
    made: dict[str, str] = {}
    for p in parameters:
        if p.stars or p.dtype is None or p.lanes > 1 or p.function:
            continue
        if p.dtype.kind == "f":
            made[p.name] = "0.5"
        elif p.dtype.kind == "b" or p.dtype.itemsize == 1:
            made[p.name] = "1"
        elif THREADS.search(p.name):
            made[p.name] = str(threads)
        else:
            low = p.name.lower().strip("_")
            small = next((v for pattern, v in SMALL if re.search(pattern, low)), None)
            if small is not None and not re.fullmatch(r"n|num_?\w*|\w*length\w*|\w*_?size|count", low):
                made[p.name] = str(small)
            elif SIZE.search(low) or small is None:
                made[p.name] = str(sizes.pop(0) if sizes else 5)
            else:
                made[p.name] = str(small)
    width = next((n for n in made if WIDTHS.search(n)), "")
    if width and not any(CONVOLVES.search(p.name) for p in parameters):
        made |= {n: made[width] for n in made if PITCHES.search(n)}  # rows lie that far apart
    heads = next((n for n in made if re.search(r"^nh$|heads?$", n, re.I)), "")
    return made | {n: str(3 * int(made[heads])) for n in made if heads and n in ("C", "d_model", "hidden", "embed_dim")}


def propose_grid(kernel: Item, block, values: list[int]) -> tuple[int, ...]:
    """Blocks that cover the sizes."""
    used = {a.text + "." + c.text for a, b, c in zip(kernel.body, kernel.body[1:], kernel.body[2:]) if b.text == "."}
    large = [v for v in values if v > 1]
    dims = 3 if "blockIdx.z" in used else 2 if "blockIdx.y" in used else 1
    if dims == 1:
        return (max(1, min(64, -(-max(large) // block[0]))) if large else 4,)
    most = max(large, default=64)
    extent = [*(-(-most // b) for b in (*block, 1)[:2]), 2]
    return tuple(max(1, min(8, e)) for e in extent[:dims])


def fitting_size(
    reach: int, scalars: list[int], block: tuple[int, ...], grid: tuple[int, ...], arrays=(), guessed: bool = False
) -> int:
    """Elements for an array that a trial reached `reach` of: the product of sizes that it was meant to have.

    guessed: the grid is a proposal: where there are several sizes, all its threads may still be too few.
    A product a little smaller than the reach is taken, too: that is what a wrong tail guard looks like.
    """
    threads = int(np.prod(block))
    known = sorted({v for v in scalars if 1 < v < 1 << 24})
    best = reach
    fits = []
    for factors in (1, 2, 3):
        for combination in combinations_with_replacement(known, factors):
            fits.append((int(np.prod(combination)), " * ".join(map(str, combination))))
    whole = threads * int(np.prod(grid))
    fits += [(int(np.prod(grid)), "blocks"), (whole, "threads"), *((a, "another array") for a in arrays)]
    fits += [(k * v, "a multiple") for v in known for k in (2, 3, 4) if reach > 64]  # pairs, colours, float4s
    over = [f for f in fits if reach <= f[0] <= reach * 1.02 + 1]
    # A guard that is missing reaches all threads, past one of the sizes; a wrong one a little too far.
    each = next((k for k in (1, 2, 4) if reach == k * whole), 0)  # elements of a thread
    each = 0 if guessed and len(known) > 1 else each
    near = [(v, "") for v in known if each and 0 < reach - v <= each * threads and v > reach * 0.7]
    no_size = ("blocks",) if known else ("blocks", "threads")  # a kernel that is told no size has no guard to be wrong
    under = near or [f for f in fits if 0 < reach - f[0] <= 2 and f[0] >= 32 and f[1] not in no_size]
    if under and (each or not over):
        best = max(under)[0]
    elif over:
        best = min(over)[0]
    return best


def propose_fill(p: Argument) -> str:
    """What an array that nobody gave holds, by its name: counters start at 0, offsets of rows rise."""
    low = p.name.lower()
    if not p.constant and re.search(r"count|hist|bins?$|total|mutex|lock|flag|queue|head|tail|ticket|semaphore", low):
        return ":zeros"
    whole = p.dtype is not None and p.dtype.kind in "iu"
    return ":sorted" if whole and re.search(r"row_?ptr|offsets?$|indptr|row_?start|col_?ptr", low) else ""
