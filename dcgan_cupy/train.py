"""python -m dcgan_cupy.train: trains a DCGAN. Without a flag it learns to draw faces, in minutes.

Flags come from config.py; runs/ does what they say.
"""

import sys
from dataclasses import fields

from rich.console import Console

from .command import Parser, number, plain, run
from .config import Config, checked, flag, type_of
from .errors import UserError
from .ops import own_rung
from .runs.display import Display
from .runs.prepare import prepare
from .runs.resume import find, settings, used_settings
from .runs.session import Session
from .runs.signals import leaving
from .workers import WorkerLost, Workers
from .workers import find as find_workers


def parse_given(arguments: list[str]) -> dict:
    """Setting -> value, of those that the flags give. Raises: UserError."""
    parser = Parser("train", __doc__.split("\n")[0].partition(": ")[2])
    for f in fields(Config):
        names, kind, meta = (flag(f.name), *f.metadata["aliases"]), type_of(f), f.metadata
        if kind is bool:
            parser.add_argument(*names, dest=f.name, action="store_const", const=True, help=meta["help"])
        else:
            shown = "" if f.default is None else f" (default: {f.default:{'g' if kind is float else ''}})"
            choices = "|".join(f"{c:g}" if kind is float else str(c) for c in meta["choices"] or ())
            parser.add_argument(
                *names, dest=f.name, type=number(kind), metavar=choices or f.name.upper(), help=meta["help"] + shown
            )
    parser.add_argument("--dataset", help="a dataset's name (PyTorch's example's flag; --data takes names and folders)")
    parser.add_argument(
        "--workers", type=number(int), help="accepted and not used: images are decoded once, on all cores"
    )
    parser.add_argument("--ngpu", type=number(int), help="accepted and not used: one device, by --device")
    for name in ("--cuda", "--mps", "--accel"):
        parser.add_argument(
            name, action="store_true", default=None, help="accepted and not used: --device auto takes a GPU"
        )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with a run: its folder, one of its checkpoints, or auto (the newest of --out)",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="settings of another run (its settings.json); flags go before them"
    )
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    for f in fields(Config):
        if f.metadata["form"] and f.name in given:
            given[f.name] = checked(f, given[f.name])
    dataset, data = given.pop("dataset", None), given.get("data", "faces")
    for name in ("workers", "ngpu", "cuda", "mps", "accel"):
        given.pop(name, None)
    if dataset == "folder" and data == "faces":
        raise UserError("train: --dataset: need --dataroot beside it, the folder's path, got folder alone")
    if dataset and data == "faces" and dataset != "folder":
        given["data"] = dataset
    return given


def parse(arguments: list[str]) -> Config:
    """The settings that the flags give, the others by default. Raises: UserError."""
    given = parse_given(arguments)
    return Config(**{name: value for name, value in given.items() if name not in ("resume", "config")})


def begin(given: dict, workers: Workers, console: Console) -> Session:
    """A run at its first or its next step.   given: what the flags say.   Raises: UserError."""
    resumed, file = given.pop("resume", None), given.pop("config", None)
    if given.get("kernels", "").endswith(".py"):  # it is run: by the flag only, never because a checkpoint names it
        own_rung.load(given["kernels"])
    if file is not None:
        given = {**used_settings(file), **given}
    saved = (
        find(resumed, given.get("out"), lambda text: console.print(plain(text), highlight=False)) if resumed else None
    )
    config = settings(saved, given) if saved else Config(**given)
    return prepare(config, console, saved, resumed is not None, workers)


def train(session: Session, console: Console) -> int:
    """Runs a training from its first or its next step to its end. Returns the exit code."""
    display = Display(console, session.config.steps, session.batches.per_epoch, session.step)
    first = session.step
    try:
        done = session.run(display)
    finally:
        session.close()
    steps = (
        f"{done.step - first} steps in {done.seconds:.0f} s, {done.rate:.0f} images/s, {done.waiting:.1%} of the time"
        " waiting for data"
    )
    if done.step == first and not done.trouble:
        steps = f"all {done.step} steps were done before"
    if session.trainer.workers.first:
        console.print(
            f"{steps}; pictures, log and checkpoints are in [bold]{plain(session.folder.path)}[/]",
            highlight=False,
            soft_wrap=True,
        )
        if done.trouble:
            print(done.trouble, file=sys.stderr)
    return done.exit_code


def work(arguments: list[str], joined: list[Workers]) -> int:
    """The run of one worker, alone or among others. Returns the exit code.   joined: gets the workers."""
    workers = find_workers()
    joined.append(workers)
    console = Console(quiet=not workers.first)
    try:
        session = begin(parse_given(arguments), workers, console)
    except Exception:
        told = workers.size - workers.rank  # the largest: of the first that cannot begin; it says why
        if workers.agree(told, patient=True) != told:
            return 2
        raise
    if workers.agree(0, patient=True):
        session.close()
        return 2
    try:
        return train(session, console)
    except WorkerLost as error:
        workers.apart = True
        print(f"train: step {session.step + 1}: {error}", file=sys.stderr, flush=True)
        return 1
    except BaseException:
        workers.apart = True
        raise


def main(arguments: list[str] | None = None) -> int:
    """The command.

    Exit codes: 0 done, 1 failed while running, 2 wrong use, 129, 130, 143 ended by a signal (everything saved).
    """
    joined: list[Workers] = []
    code = 1
    with leaving():
        try:
            code = run("train", lambda given: work(given, joined), arguments)
        finally:
            if joined and joined[0].apart:  # the others would wait for this one
                sys.stdout.flush()
                sys.stderr.flush()
                joined[0].end(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
