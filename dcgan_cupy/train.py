"""python -m dcgan_cupy.train: trains a DCGAN. Without a flag it learns to draw faces, in minutes.

Flags come from config.py; this file reads them, says what will happen, and runs the loop.
"""

import argparse
import math
import signal
import sys
import time
from dataclasses import fields, replace

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import device as devices
from . import ops
from .config import Config, flag, type_of
from .data import open_dataset
from .device import KernelError
from .errors import UserError
from .feed import Batches
from .preflight import plan
from .runs import RunFolder, load_weights
from .trainer import Trainer

GRID = 64  # images in a sample grid


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"train: {message} (see --help)")


def parse(arguments: list[str]) -> Config:
    """The settings that the flags give. Raises: UserError."""
    parser = _Parser(
        prog="python -m dcgan_cupy.train", description=__doc__.split("\n")[0].partition(": ")[2], allow_abbrev=False
    )
    for f in fields(Config):
        names, kind, meta = (flag(f.name), *f.metadata["aliases"]), type_of(f), f.metadata
        if kind is bool:
            parser.add_argument(*names, dest=f.name, action="store_true", help=meta["help"])
        else:
            shown = (
                f" (default: {f.default:g})"
                if kind is float
                else f" (default: {f.default})"
                if f.default is not None
                else ""
            )
            choices = "|".join(f"{c:g}" if kind is float else str(c) for c in meta["choices"] or ())
            parser.add_argument(
                *names,
                dest=f.name,
                default=f.default,
                type=_number(kind),
                metavar=choices or f.name.upper(),
                help=meta["help"] + shown,
            )
    parser.add_argument("--dataset", help="a dataset's name (PyTorch's example's flag; --data takes names and folders)")
    parser.add_argument(
        "--workers", type=_number(int), help="accepted and not used: images are decoded once, on all cores"
    )
    given = vars(parser.parse_args(arguments))
    dataset, data = given.pop("dataset"), given["data"]
    given.pop("workers")
    if dataset == "folder" and data == "faces":
        raise UserError("train: --dataset: need --dataroot beside it, the folder's path, got folder alone")
    if dataset and data == "faces" and dataset != "folder":
        given["data"] = dataset
    return Config(**given)


def _number(kind):
    def convert(text):
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"need {'a whole number' if kind is int else 'a number'}, got {text!r}"
            ) from None

    return convert


def train(config: Config, console: Console) -> int:
    """Runs a training from start to end. Returns the exit code."""
    device = devices.get(config.device)
    config = config.resolved(device.kind)
    planned = plan(config, device.kind, GRID)
    console.print(
        f"[bold]device[/]    {_plain(device.description)}\n          {_plain(_because(config, device))}",
        highlight=False,
        soft_wrap=True,
    )
    _compile(device, planned, console)
    trainer = Trainer(config, device)
    for network, path, name in (
        (trainer.g, config.generator, "generator"),
        (trainer.d, config.discriminator, "discriminator"),
    ):
        if path:
            network.load_state_dict(load_weights(path, f"train: --{name}"))
    dataset = _open(config, console)
    before = device.allocated_bytes
    batches = Batches(device, dataset.images, config.batch_size, config.seed, config.flip)
    memory = planned.bytes, device.allocated_bytes - before
    steps = config.steps or config.epochs * batches.per_epoch
    every = config.sample_every or max(1, steps // 10)
    folder = RunFolder(replace(config, steps=steps, epochs=None), device)
    _announce(config, console, trainer, dataset, batches, steps, folder, memory)

    z = trainer.fixed_z(GRID)
    folder.sample("real", dataset.images[:GRID])
    folder.sample("000000", _pictures(trainer, z))
    stop = _Interrupt()
    started, done, last = time.perf_counter(), 0, None
    with _Display(console, steps, batches.per_epoch) as display:
        try:
            for done in range(1, steps + 1):
                epoch = batches.epoch
                last = trainer.step(batches.next())
                folder.log(step=done, epoch=epoch, **last._asdict())
                display.update(done, last, config.batch_size * done / (time.perf_counter() - started))
                if not all(map(math.isfinite, last)):
                    break  # and keep the weights that were saved last
                if done % every == 0 or done == steps or stop:
                    folder.sample(f"{done:06d}", _pictures(trainer, z))
                    folder.weights(trainer)
                if stop:
                    break
        finally:
            stop.restore()
            seconds = time.perf_counter() - started
            batches.close()
            waiting = batches.waited / seconds
            folder.timing(
                steps=done,
                seconds=round(seconds, 3),
                images_per_second=round(config.batch_size * done / seconds, 2),
                waiting_for_data=round(waiting, 5),
            )
            folder.close()
    console.print(
        f"{done} steps in {seconds:.0f} s, {config.batch_size * done / seconds:.0f} images/s, {waiting:.1%} of the time waiting "
        f"for data; pictures, log and weights are in [bold]{_plain(folder.path)}[/]",
        highlight=False,
        soft_wrap=True,
    )
    if not all(map(math.isfinite, last)):
        print(
            f"train: step {done}: loss: need finite numbers, got {last.loss_d:g} of D and {last.loss_g:g} of G; try a lower --lr or "
            "another --seed (the weights are those saved last, if any)",
            file=sys.stderr,
        )
        return 1
    return 130 if stop else 0


def _pictures(trainer, z):
    images = trainer.sample(z)
    made = trainer.device.empty(images.shape, "uint8")
    ops.images_to_uint8(trainer.device, images, made)
    return trainer.device.numpy(made)


def _because(config, device) -> str:
    return {"auto": f"chosen because: {device.reason}"}.get(config.device, f"chosen because: --device {config.device}")


def _plain(text) -> str:
    """A text from outside for the console: no markup in it is obeyed, and what is no printable character becomes an escape."""
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)))


def _compile(device, planned, console) -> None:
    """All kernels of the run at once: the first time on a machine it takes a while, later they are found in the cache."""
    start = time.perf_counter()
    columns = TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("compiling", total=len(planned.kernels))
        device.prepare(planned.kernels, lambda done, total: progress.update(task, completed=done))
    if (seconds := time.perf_counter() - start) > 2:
        console.print(
            f"[bold]kernels[/]   {len(planned.kernels)} compiled in {seconds:.0f} s, kept for the next run",
            highlight=False,
        )


def _open(config, console):
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(f"reading {_plain(config.data)}", total=None)
        return open_dataset(
            config.data,
            config.image_size,
            config.channels,
            seed=config.seed,
            crop=config.crop,
            format=config.format,
            split=config.split,
            on_bad=config.on_bad,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _announce(config, console, trainer, dataset, batches, steps, folder, memory) -> None:
    count = f"{trainer.g.param.size / 1e6:.2f} M parameters in G, {trainer.d.param.size / 1e6:.2f} M in D"
    rung = config.kernels or trainer.d.logits.layers[0].rung
    lines = [
        (
            "data",
            f"{dataset.name}: {len(dataset.images)} images, {config.image_size} x {config.image_size} px; {batches.place}"
            + (f"; {len(dataset.skipped)} files skipped" if dataset.skipped else ""),
        ),
        (
            "networks",
            f"features {config.features_g} / {config.features_d}, z {config.z_dim} {config.z}; {count}; kernels: {rung}",
        ),
        (
            "training",
            f"{steps} steps of {config.batch_size} images ({steps / batches.per_epoch:.1f} epochs), Adam lr {config.lr:g} "
            f"beta1 {config.beta1:g}, loss {config.loss}, seed {config.seed}",
        ),
        (
            "memory",
            f"{sum(memory) / 1e6:.0f} MB of arrays at most: networks {memory[0] / 1e6:.0f}, data {memory[1] / 1e6:.0f}",
        ),
        ("results", f"{folder.path}/"),
    ]
    for name, text in lines:
        console.print(f"[bold]{name:<9}[/] {_plain(text)}", highlight=False, soft_wrap=True)
    for path, reason in dataset.skipped[:5]:
        console.print(f"          skipped {_plain(path)}: {_plain(reason)}", highlight=False, soft_wrap=True)
    if len(dataset.skipped) > 5:
        console.print(f"          … and {len(dataset.skipped) - 5} more", highlight=False)


class _Interrupt:
    """Ctrl-C asks the loop to stop after the step at hand; a second one stops at once."""

    def __init__(self):
        self.asked = False
        self._old = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number, frame):
        self.asked = True
        self.restore()

    def restore(self) -> None:
        signal.signal(signal.SIGINT, self._old)

    def __bool__(self):
        return self.asked


class _Display:
    """A live bar on a terminal; elsewhere a line now and then, in the format that PyTorch's example prints."""

    def __init__(self, console, steps, per_epoch):
        self.console, self.steps, self.per_epoch = console, steps, per_epoch
        self.live = console.is_terminal
        self.every = max(1, steps // 20)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, refresh_per_second=4)

    def __enter__(self):
        if self.live:
            self.progress.start()
            self.task = self.progress.add_task("starting", total=self.steps)
        return self

    def __exit__(self, *_):
        if self.live:
            self.progress.stop()

    def update(self, done, s, rate) -> None:
        if self.live:
            text = f"loss D {s.loss_d:5.3f} G {s.loss_g:5.3f}  D(x) {s.d_real:4.2f}  D(G(z)) {s.d_fake:4.2f}  {rate:4.0f} images/s"
            self.progress.update(self.task, completed=done, description=text)
        elif done % self.every == 0 or done in (1, self.steps):
            epoch, i = divmod(done - 1, self.per_epoch)
            epochs = -(-self.steps // self.per_epoch)
            line = (
                f"[{epoch}/{epochs}][{i}/{self.per_epoch}] Loss_D: {s.loss_d:.4f} Loss_G: {s.loss_g:.4f} D(x): {s.d_real:.4f} "
                f"D(G(z)): {s.d_fake:.4f} / {s.d_fake_after:.4f}  {rate:.0f} images/s"
            )
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    """The command. Exit codes: 0 done, 1 failed while running, 2 wrong use, 130 interrupted (everything saved)."""
    console = Console()
    try:
        return train(parse(sys.argv[1:] if arguments is None else arguments), console)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KernelError as error:
        print(f"kernel error: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(
            f"train: memory: need more than is free: {error}; try a smaller --batch-size or fewer features",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(
            f"train: {error.filename or 'files'}: need to read and write, got: {error.strerror or error}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was not saved yet is lost", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
