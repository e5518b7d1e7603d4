"""What a run shows:

A live bar on a terminal, elsewhere a line now and then in the format that PyTorch's example prints.
"""

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..command import plain


class Display:
    """Steps as they are done."""

    def __init__(self, console: Console, steps: int, per_epoch: int, first: int = 0):
        """first: steps that an earlier part of the run has done."""
        self.console, self.steps, self.per_epoch = console, steps, per_epoch
        self.every = max(1, steps // 20)
        self.said: set[str] = set()
        self.first = first
        self.progress = Progress(
            BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
            console=console, expand=True,
        )  # fmt: skip
        self.numbers = Text("starting", no_wrap=True, overflow="ellipsis")
        self.live = Live(Group(self.progress, self.numbers), console=console, refresh_per_second=4)
        self.task = self.progress.add_task("", total=steps, completed=first, rate="")

    def __enter__(self):
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_):
        if self.console.is_terminal:
            self.live.stop()

    def update(self, done: int, s, rate: float) -> None:
        """done: steps so far.   s: the Step.   rate: images a second."""
        if self.console.is_terminal:
            self.progress.update(self.task, completed=done, rate=f"{rate:.0f} images/s")
            self.numbers.plain = (
                f"loss D {s.loss_d:5.3f}  G {s.loss_g:5.3f}   D(x) {s.d_real:4.2f}  D(G(z)) {s.d_fake:4.2f}"
            )
        elif done % self.every == 0 or done in (self.first + 1, self.steps):
            epoch, i = divmod(done - 1, self.per_epoch)
            epochs = -(-self.steps // self.per_epoch)
            line = (
                f"[{epoch}/{epochs}][{i}/{self.per_epoch}] Loss_D: {s.loss_d:.4f} Loss_G: {s.loss_g:.4f} "
                f"D(x): {s.d_real:.4f} D(G(z)): {s.d_fake:.4f} / {s.d_fake_after:.4f}  {rate:.0f} images/s"
            )
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A sentence above the bar."""
        self.console.print(plain(text), highlight=False, soft_wrap=True)

    def say_once(self, text: str) -> None:
        """A sentence above the bar, unless it was said before."""
        if text not in self.said:
            self.said.add(text)
            self.say(text)
