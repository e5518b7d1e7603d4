"""A short launch on generous arrays: how far each array of unknown size is reached, and how many blocks to watch."""

from ..errors import UserError
from .arguments import MOST_BYTES, Maker, Value
from .proposals import fitting_size, propose_fill

TRIAL_ELEMENTS, TRIAL_BYTES = 1 << 20, 32 << 20
TRIAL_BLOCKS, TRIAL_SECONDS, QUICK_SECONDS = 128, 20, 5
WATCHED_SECONDS = 3  # of a launch that was read or proposed: as many of its blocks as that allows


def sized(run, open_arrays, blocks):
    """Gives each open array the size that it was meant to have, and the kernel the number of blocks to watch.

    Returns the arguments of the launch, None where they are to be made anew.
    """
    dev, sizes = run.dev, {}
    for p in open_arrays:
        dtype = Maker(dev, run.user, 1, run.template).dtype_of(p)
        if dtype is None:
            raise UserError(
                f"inspect: --arg: {p.name}: need an array given for {p.c_type}*, not a plain type, such"
                f" as --arg {p.name}=u8[4096]"
            )
        sizes[p.name] = f"[{min(TRIAL_ELEMENTS, TRIAL_BYTES // dtype.itemsize)}]{propose_fill(p)}"
    trial, arguments, each = _tried(run, sizes, open_arrays, blocks)
    for most, fill in ((4 * TRIAL_BYTES, None), (MOST_BYTES // 2 // max(1, len(open_arrays)), ":empty")):
        past = {f.array.partition("[")[0] for f in trial.findings if "past its end" in f.message}
        past |= {run.values[n].text[1:] for n in past if n in run.values and run.values[n].text.startswith("&")}
        far = [p for p in open_arrays if p.name in past]
        if not far:
            break
        for p in far:
            dtype = Maker(dev, run.user, 1, run.template).dtype_of(p)
            assert dtype is not None
            sizes[p.name] = f"[{most // dtype.itemsize}]{fill or propose_fill(p)}"
        dev.free()
        trial, arguments, each = _tried(run, sizes, open_arrays, blocks)
    known = [a.size for p, a in zip(run.parameters, arguments) if p.stars and p not in open_arrays and a is not None]
    whole = run.whole_numbers()
    for p, array in zip(run.parameters, arguments):
        if p in open_arrays and array is not None:
            names = [p.name, *(n for n, v in run.values.items() if v.text == f"&{p.name}")]
            reach = -(-max(trial.reached.get(n, 0) for n in names) // array.itemsize) or 1
            count = fitting_size(reach, whole, run.block, run.grid, known, run.extents["grid"] == "proposed")
            run.values[p.name] = Value(f"[{count}]{propose_fill(p)}", "proposed")
    allowed = min(500_000, max(2, int(min(WATCHED_SECONDS, dev.seconds / 4) / max(2.5 * each, 1e-9))))
    run.kernel_cap = allowed if allowed < blocks else 0
    run.kernel.watch_at_most(run.kernel_cap)
    if open_arrays:
        dev.free()
        return None
    return arguments


def _tried(run, sizes, open_arrays, blocks):
    """A trial's report and arguments: of the first and the last block, and of more where they are quick."""
    dev, reached = run.dev, {}
    arguments = run.make_arguments(sizes)
    seconds = dev.seconds
    dev.seconds = min(seconds, TRIAL_SECONDS)
    try:
        for most in (2, TRIAL_BLOCKS) if open_arrays else (2,):
            run.kernel.watch_at_most(most if most < blocks else 0)
            run.launch(arguments)
            trial = dev.reports.pop()
            for name, far in trial.reached.items():
                reached[name] = max(far, reached.get(name, 0))
            ran = min(most, blocks)
            if ran == blocks or trial.seconds / ran * min(TRIAL_BLOCKS, blocks) > QUICK_SECONDS:
                break
    finally:
        dev.seconds = seconds
    trial.reached = reached
    return trial, arguments, trial.seconds / ran
