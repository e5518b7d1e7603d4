"""A short launch on generous arrays: how far each array of unknown size is reached, and how many blocks to watch."""

from ..errors import UserError
from .arguments import Maker, Value
from .proposals import fitting_size, propose_fill

TRIAL_ELEMENTS, TRIAL_BYTES = 1 << 20, 32 << 20
TRIAL_BLOCKS, TRIAL_SECONDS = 128, 20
WATCHED_SECONDS = 3  # of a launch that was read or proposed: as many of its blocks as that allows


def sized(run, open_arrays, blocks):
    """A short launch on generous arrays: how far each open one is reached, and how long a block takes."""
    dev, sizes = run.dev, {}
    for p in open_arrays:
        dtype = Maker(dev, run.user, 1, run.template).dtype_of(p)
        if dtype is None:
            raise UserError(
                f"inspect: --arg: {p.name}: need an array given for {p.c_type}*, not a plain type, such"
                f" as --arg {p.name}=u8[4096]"
            )
        sizes[p.name] = f"[{min(TRIAL_ELEMENTS, TRIAL_BYTES // dtype.itemsize)}]{propose_fill(p)}"
    trial, arguments = _tried(run, sizes, open_arrays, blocks)
    beyond = {f.array.partition("[")[0] for f in trial.findings if f.kind == "out-of-bounds"}
    if far := [p for p in open_arrays if p.name in beyond]:
        for p in far:
            dtype = Maker(dev, run.user, 1, run.template).dtype_of(p)
            assert dtype is not None
            sizes[p.name] = f"[{4 * TRIAL_BYTES // dtype.itemsize}]{propose_fill(p)}"
        dev.free()
        trial, arguments = _tried(run, sizes, open_arrays, blocks)
    cap = TRIAL_BLOCKS if open_arrays else 2
    known = [a.size for p, a in zip(run.parameters, arguments) if p.stars and p not in open_arrays and a is not None]
    whole, ran = run.whole_numbers(), max(1, min(blocks, cap))
    for p, array in zip(run.parameters, arguments):
        if p in open_arrays and array is not None:
            reach = -(-trial.reached.get(p.name, 0) // array.itemsize) or 1
            count = fitting_size(reach, whole, run.block, run.grid, known)
            run.values[p.name] = Value(f"[{count}]{propose_fill(p)}", "proposed")
    each = trial.seconds / ran * 2.5
    allowed = min(500_000, max(2, int(min(WATCHED_SECONDS, dev.seconds / 4) / max(each, 1e-9))))
    run.kernel_cap = allowed if allowed < blocks else 0
    run.kernel.watch_at_most(run.kernel_cap)
    if open_arrays:
        dev.free()
        return None
    return arguments


def _tried(run, sizes, open_arrays, blocks):
    """A trial's report and arguments."""
    dev = run.dev
    arguments = run.make_arguments(sizes)
    seconds = dev.seconds
    dev.seconds = min(seconds, TRIAL_SECONDS)
    cap = TRIAL_BLOCKS if open_arrays else 2
    run.kernel.watch_at_most(cap if cap < blocks else 0)
    try:
        run.launch(arguments)
    finally:
        dev.seconds = seconds
    return dev.reports.pop(), arguments
