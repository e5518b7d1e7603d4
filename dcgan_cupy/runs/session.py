"""One training run, from its first or its next step to its last: steps, log, samples, checkpoints, signals."""

import contextlib
import math
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .. import ops
from . import checkpoint, curves, labelled
from .display import Display
from .folder import RunFolder
from .signals import Signals

GRID = 64  # images in a sample grid


@dataclass(frozen=True)
class Outcome:
    """How a run ended. step: the last one done.   rate: images a second.

    Waiting: the share of the time without data.
    """

    step: int
    seconds: float
    rate: float
    waiting: float
    exit_code: int
    trouble: str = ""  # one sentence, where something went wrong


class Session:
    """A trainer, its data and its folder, at one step of a run."""

    def __init__(self, config, trainer, batches, folder: RunFolder, used: dict, step: int = 0, board=None):
        """config: resolved, with numbers for steps, sample_every and checkpoint_every.   used: what the run runs on.

        step: those done by an earlier part of the run.   board: where TensorBoard's events go (board.py), or None.
        """
        self.config, self.trainer, self.batches, self.folder = config, trainer, batches, folder
        self.used, self.step, self.board = used, step, board
        self.z, self.labels, self.columns = labelled.shown(trainer, GRID)
        self.processor = 0.0  # its time when the first step began

    def close(self) -> None:
        """Lets go of the folder."""
        if self.folder is not None:
            self.folder.close()

    def begin(self, images, labels=None) -> None:
        """The first files of a new run.   images, labels: the dataset's."""
        shown = images[:GRID] if labels is None else labelled.real(images, labels, self.config.n_classes)
        self.folder.sample("real", shown, self.columns)
        self._sample()

    def run(self, display: Display) -> Outcome:
        """Trains until the last step, a signal or a loss that is no number."""
        started, first, trouble, code = time.perf_counter(), self.step, "", 0
        self.processor = time.process_time()
        with Signals() as signals, display:
            try:
                while self.step < self.config.steps and not signals.leave:
                    trouble = self._one_step(display, started, first, signals)
                    if asked := self.trainer.workers.agree(signals.leave or bool(trouble)):
                        if trouble or asked == 1:
                            code = 1
                            break
                        signals.leave = signal.Signals(asked)  # of whichever worker's
                if not trouble:
                    trouble = self._leave(display)
                    code = signals.exit_code or (1 if trouble else 0)
            finally:
                outcome = self._outcome(started, first, code, trouble)
            self._draw_curves(display)  # once the time is taken
        return outcome

    def _one_step(self, display, started, first, signals) -> str:
        """One step and what is due after it. Returns what went wrong, or nothing."""
        epoch = self.batches.epoch
        losses = self.trainer.step(self.batches.next(), labels=self.batches.labels)
        self.step += 1
        self._note(display, epoch, losses)
        rate = self.config.batch_size * (self.step - first) / (time.perf_counter() - started)
        display.update(self.step, losses, rate)
        if not all(map(math.isfinite, losses)):
            return (
                f"train: step {self.step}: loss: need finite numbers, got {losses.loss_d:g} of D and {losses.loss_g:g}"
                f" of G; try a lower --lr or another --seed ({self._kept()})"
            )
        if self.step % self.config.sample_every == 0 or self.step == self.config.steps:
            with self._room(display, "samples"):
                self._sample()
        if self.step % self.config.checkpoint_every == 0 or signals.save:
            signals.save = False
            return self.save(display)
        return ""

    def _note(self, display, epoch: int, losses) -> None:
        """A step's numbers, for the files that keep them."""
        with self._room(display, "log.jsonl"):
            self.folder.log(step=self.step, epoch=epoch, **losses._asdict())
        if self.board is not None:
            with self._room(display, "tensorboard"):
                self.board.step(self.step, losses)

    def save(self, display) -> str:
        """A checkpoint of now. Returns why none may be made of these numbers, or nothing.

        A full disk is said, and no end.
        """
        arrays = self.trainer.state()
        for name, values in arrays.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                return (
                    f"train: step {self.step}: {name}: need finite numbers, got some that are none; try a lower --lr or"
                    f" another --seed ({self._kept()})"
                )
        with self._room(display, "a checkpoint"):
            facts = {"log_bytes": self.folder.sync_log(), "settings": asdict(self.config), "used": self.used}
            checkpoint.write(self.folder.checkpoints, self.step, arrays, facts)
            checkpoint.prune(self.folder.checkpoints, self.config.keep, self.config.keep_every)
        return ""

    def _leave(self, display) -> str:
        """The last files: a checkpoint of the step at hand and the weights."""
        last = checkpoint.found(self.folder.checkpoints)[:1]
        if not last or int(last[0].name) != self.step:
            trouble = self.save(display)
            if trouble:
                return trouble
        with self._room(display, "weights"):
            self.folder.weights(self.trainer.weights())
        return ""

    def _outcome(self, started, first, code, trouble) -> Outcome:
        seconds = time.perf_counter() - started
        self.batches.close()
        if self.board is not None:
            with contextlib.suppress(OSError):
                self.board.close()
        count = self.step - first
        rate, waiting = self.config.batch_size * count / seconds, self.batches.waited / seconds
        try:
            self._note_time(
                steps=count,
                seconds=round(seconds, 3),
                processor_seconds=round(time.process_time() - self.processor, 3),
                images_per_second=round(rate, 2),
                waiting_for_data=round(waiting, 5),
            )
        except OSError as error:
            trouble = trouble or f"train: timing.json: need room to write, got: {error.strerror}"
        return Outcome(self.step, seconds, rate, waiting, code, trouble)

    def _note_time(self, **values) -> None:
        self.folder.timing(**values)

    def _draw_curves(self, display) -> None:
        with self._room(display, "loss.png"):
            curves.draw(self.folder.path / "log.jsonl", self.folder.path / "loss.png")

    def _kept(self) -> str:
        kept = checkpoint.found(self.folder.checkpoints)[:1]
        return f"the last good checkpoint is {kept[0]}" if kept else "no checkpoint was made yet"

    def _sample(self) -> None:
        """G's images of now, and with --ema those of the averaged G."""
        for averaged, name in ((False, f"{self.step:06d}"), (True, f"{self.step:06d}-ema"))[
            : 1 + (self.config.ema is not None)
        ]:
            path = self.folder.sample(name, self._pictures(averaged), self.columns)
            if self.board is not None:
                self.board.picture(self.step, "samples-ema" if averaged else "samples", path)

    def _pictures(self, averaged: bool):
        images = self.trainer.sample(self.z, averaged, self.labels)
        made = self.trainer.device.empty(images.shape, "uint8")
        ops.images_to_uint8(self.trainer.device, images, made)
        return self.trainer.device.numpy(made)

    def _room(self, display, what: str) -> "_Room":
        return _Room(display, what, self.folder.path)


class Follower(Session):
    """A worker that is not the first: it does the steps, and writes nothing."""

    def _note(self, display, epoch, losses):
        """The first worker does it."""

    def _sample(self):
        """As above: an image depends on the weights alone, which all have."""

    def save(self, display):
        """As above."""
        return ""

    def _leave(self, display):
        """As above."""
        return ""

    def begin(self, images, labels=None):
        """As above."""

    def _note_time(self, **values):
        """As above."""

    def _draw_curves(self, display):
        """As above."""

    def _kept(self):
        return "the first worker says which checkpoint is the last good one"

    def _room(self, display, what):
        return contextlib.nullcontext()


class _Room:
    """A disk without room ends no run:

    It is said once in a while, and what is not written is tried again or left out.
    """

    def __init__(self, display, what: str, path: Path):
        self.display, self.what, self.path = display, what, path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace) -> bool:
        if not isinstance(error, OSError):
            return False
        self.display.say_once(
            f"warning: {self.path}: {self.what} could not be written: {error.strerror or error}; the run goes on,"
            " earlier checkpoints are whole"
        )
        return True
