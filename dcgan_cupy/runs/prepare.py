"""From settings to a session that can run.

What can be refused is refused first, then images are read, then kernels compiled.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import __version__
from .. import device as devices
from ..choices import DEFAULT_RUNG
from ..command import plain
from ..data import as_flags, open_dataset
from ..device import RecorderDevice, gpu, source
from ..errors import UserError
from ..feed import Batches
from ..machine import cores, counted
from ..ops import own_rung
from ..ops.compare_rung import compare
from ..preflight import plan
from ..sizes import shown
from ..trainer import Trainer
from ..workers import Workers
from . import board, checkpoint, labelled, resume, shapes
from .folder import RunFolder
from .imported import origin
from .session import GRID, Follower, Session
from .weights import load_weights

LIBRARIES = ("numpy", "pillow", "safetensors", "ziglang", "cupy-cuda12x", "cupy-cuda13x")


def prepare(
    config,
    console: Console,
    saved: checkpoint.Checkpoint | None = None,
    restart: bool = False,
    workers: Workers | None = None,
) -> Session:
    """A session at its first step, or at a checkpoint's.

    config: as given.   saved: the checkpoint to go on from.   restart: a folder with a run, but no whole checkpoint,
    begins anew.   workers: those of the run, of whom this is one; the first has the folder.
    Raises: UserError for all that cannot be used, before the first kernel is compiled.
    """
    kind, workers = _kind(config.device), workers or Workers()
    if kind == "gpu" and workers.size > 1:
        raise UserError(f"train: --device: need cpu for {workers.size} workers, got gpu (not built yet)")
    workers.timeout = config.worker_timeout
    config = config.resolved(kind)
    workers.share("train", config.batch_size)
    devices.ready(kind)
    if saved is None and workers.first:
        RunFolder.look(config.out, restart)
    board.ready(config.tensorboard)
    dataset = None
    if config.conditional:  # how many classes there are decides the networks
        dataset = _open(config, console)
        config = labelled.with_classes(config, dataset)
    weights = _given_weights(config, kind) if saved is None else {}
    state = resume.read(saved, config, kind) if saved else {}
    log_length = resume.log_length(saved) if saved else 0
    planned = plan(config, kind, labelled.pictures(config, GRID), workers)
    dataset = dataset or _open(config, console)
    labels = labelled.labels_of(dataset) if config.conditional else None
    steps = _steps(config, dataset)
    tenth = max(1, steps // 10)
    every = {"sample_every": config.sample_every or tenth, "checkpoint_every": config.checkpoint_every or tenth}
    config = replace(config, steps=steps, epochs=None, **every)
    used = {"images": resume.images_sum(dataset.images, labels)}
    if config.conditional:
        used["classes"] = labelled.names_of(dataset, config.n_classes)
    if saved is not None:
        _same_images(saved, used)
        used |= origin(saved)
    folder = _folder(config, saved, restart, log_length) if workers.first else None
    try:
        device = devices.get(config.device, **_cores(kind, workers))
        told = (device.description, _because(config, device), device.advice)
        _say(console, "device", "\n          ".join(filter(None, told)))
        if config.kernels in own_rung.OWN:
            compare(device, config.kernels)
        _compile(device, planned.kernels, console, workers)
        trainer = Trainer(config, device, workers)
        if weights:
            trainer.begin_with(weights)
        before = device.allocated_bytes
        batches = Batches(
            device, dataset.images, config.batch_size, config.seed, config.flip, None, labels, workers.place
        )
        if saved is not None:
            resume.restore(trainer, batches, saved, state)
        memory = planned.bytes, device.allocated_bytes - before
        used |= ran_on(config, device)
        first = saved.step if saved else 0
        if folder is None:
            return Follower(config, trainer, batches, None, used, first)
        if workers.size > 1:
            used["workers"] = workers.size
        folder.start(config, used, log_length)
        events = board.Board(folder.path / "tensorboard", first) if config.tensorboard else None
        session = Session(config, trainer, batches, folder, used, first, events)
        _announce(session, dataset, console, memory, saved)
        if saved is None or "imported" in saved.facts:
            session.begin(dataset.images, labels)
        return session
    except BaseException:
        if folder is not None:
            folder.close()
        raise


def ran_on(config, device) -> dict:
    """What a run really used: for settings.json and each checkpoint."""
    versions = {"dcgan_cupy": __version__, "python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "device": device.kind,
        "description": device.description,
        "kernels": config.kernels or DEFAULT_RUNG,
        "precision": "fp32",
        "kernel_texts": source.texts_sum(),
        "commit": _commit(),
        "versions": versions,
    }


def _commit() -> str | None:
    """The commit of the kernels, where they lie in a checkout."""
    git = shutil.which("git")
    if git is None or not (source.KERNELS.parent / ".git").exists():
        return None
    command = [git, "-C", str(source.KERNELS.parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=10)
    return done.stdout.strip() or None


def _kind(name: str) -> str:
    if name == "auto":
        return "cpu" if gpu.why_not() else "gpu"
    return name


def _cores(kind: str, workers: Workers) -> dict:
    """Workers that may run on the same cores share them, unless DCGAN_CUPY_THREADS says otherwise."""
    shared = kind == "cpu" and workers.sharers > 1 and not os.environ.get("DCGAN_CUPY_THREADS")
    return {"threads": max(1, cores() // workers.sharers)} if shared else {}


def _given_weights(config, kind: str) -> dict[str, dict]:
    """generator, discriminator -> values of these flags.

    They are checked against networks that nothing runs on.
    """
    values, recorder = {}, RecorderDevice(kind)
    for name, make in shapes.MAKE.items():
        if path := getattr(config, name):
            values[name] = load_weights(path, f"train: --{name}")
            whose = shapes.owner(values[name])
            if whose and whose[0] != config.network:
                raise UserError(
                    f"train: --{name}: need the {name} of {shapes.OWNERS[config.network]}, got the {whose[1]} of"
                    f" {shapes.OWNERS[whose[0]]} in {path} (--network {whose[0]})"
                )
            make(config, recorder).load_state_dict(values[name])
    return values


def _folder(config, saved, restart: bool, log_length: int) -> RunFolder:
    if saved is None:
        folder = RunFolder.claim(config.out, config.data, str(config.image_size), restart)
    elif config.out is None or Path(config.out).resolve() == saved.path.resolve().parent.parent:
        resume.refuse_going_back(saved)
        folder = RunFolder.reopen(resume.run_of(saved))
    else:
        folder = RunFolder.claim(config.out, config.data, str(config.image_size))
        folder.take_log(resume.run_of(saved), log_length)
    checkpoint.sweep(folder.checkpoints)
    folder.sweep()
    return folder


def _steps(config, dataset) -> int:
    count = len(dataset.images)
    if count < config.batch_size:
        raise UserError(f"train: --batch-size: need at most the number of images, {count}, got {config.batch_size}")
    return config.steps or config.epochs * (count // config.batch_size)


def _same_images(saved, used) -> None:
    there = saved.facts.get("used")
    if isinstance(there, dict) and there.get("images", used["images"]) != used["images"]:
        raise UserError(
            f"train: --resume: need the images that {saved.path} was trained on, got others (--data has changed)"
        )


def _because(config, device) -> str:
    return f"chosen because: {device.reason if config.device == 'auto' else f'--device {config.device}'}"


def _compile(device, kernels, console, workers: Workers) -> None:
    """All kernels of the run at once:

    The first time on a machine it takes a while, later they are found in the cache. Each worker begins with others, and
    comes to those that another has compiled.
    """
    kernels = list(kernels)
    begin = len(kernels) * workers.rank // workers.size
    start = time.perf_counter()
    columns = TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("compiling", total=len(kernels))
        device.prepare(kernels[begin:] + kernels[:begin], lambda done, total: progress.update(task, completed=done))
    if (seconds := time.perf_counter() - start) > 2:
        _say(console, "kernels", f"{len(kernels)} compiled in {seconds:.0f} s, kept for the next run")


def _data(config) -> dict:
    """What open_dataset takes of the settings."""
    classes = tuple(config.classes.split(",")) if config.classes else ()
    options = {"seed": config.seed, "crop": config.crop, "format": config.format, "split": config.split}
    return {**options, "on_bad": config.on_bad, "classes": classes}


def _open(config, console):
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shape = config.data, config.image_size, config.channels
    with as_flags("train", source="--data"), Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"reading {plain(config.data)}", total=None)
        return open_dataset(
            *shape, **_data(config), progress=lambda done, total: progress.update(task, completed=done, total=total)
        )


def _announce(session, dataset, console, memory, saved) -> None:
    config, trainer, batches = session.config, session.trainer, session.batches
    count = f"{trainer.g.param.size / 1e6:.2f} M parameters in G, {trainer.d.param.size / 1e6:.2f} M in D"
    skipped = f"; {counted(len(dataset.skipped), 'file')} skipped" if dataset.skipped else ""
    going_on = f", from step {saved.step} on" if saved else ""
    for name, text in (
        (
            "data",
            (f"{dataset.name}: {len(dataset.images)} images, {shown(config.image_size)} px; {batches.place}{skipped}"),
        ),
        (
            "networks",
            (
                f"{config.network}, features {config.features_g} / {config.features_d}, z {config.z_dim} {config.z};"
                f" {count}; kernels: {session.used['kernels']}"
            ),
        ),
        (
            "training",
            (
                f"{config.steps} steps of {config.batch_size} images{_by(trainer.workers)}"
                f" ({config.steps / batches.per_epoch:.1f} epochs){going_on}, Adam lr {_rates(config)} beta1"
                f" {config.beta1:g}, loss {config.loss}, seed"
                f" {config.seed}"
            ),
        ),
        (
            "memory",
            f"{sum(memory) / 1e6:.0f} MB of arrays at most: networks {memory[0] / 1e6:.0f}, data {memory[1] / 1e6:.0f}",
        ),
        *[("workers", ", ".join(f"{r}: {place}" for r, place in enumerate(trainer.workers.where())))][
            : trainer.workers.size > 1
        ],
        ("results", f"{session.folder.path}{os.sep}"),
    ):
        _say(console, name, text)
    if config.conditional:
        rows = "a row of samples each" + f" of the first {labelled.ROWS}" * (config.n_classes > labelled.ROWS)
        _say(console, "classes", f"{config.n_classes}: {labelled.listed(session.used['classes'])}; {rows}")
    for note in dataset.notes:
        _say(console, "note", note)
    for path, reason in dataset.skipped[:5]:
        console.print(f"          skipped {plain(path)}: {plain(reason)}", highlight=False, soft_wrap=True)
    if len(dataset.skipped) > 5:
        console.print(f"          … and {len(dataset.skipped) - 5} more", highlight=False)


def _by(workers: Workers) -> str:
    return f", shared by {workers.size} workers" if workers.size > 1 else ""


def _rates(config) -> str:
    """0.0002, or G's and D's where they differ, and how they fall."""
    g, d = config.lr_g or config.lr, config.lr_d or config.lr
    return (f"{g:g}" if g == d else f"{g:g} of G and {d:g} of D") + (" falling to 0" if config.lr_decay else "")


def _say(console, name: str, text: str) -> None:
    lines = "\n".join(map(plain, text.split("\n")))
    console.print(f"[bold]{name:<9}[/] {lines}", highlight=False, soft_wrap=True)
