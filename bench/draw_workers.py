"""What two workers tell each other in a step, and when: docs/images/workers.svg.   python -m bench.draw_workers [FILE]

Two trainers in two threads play a small run; what is drawn is what they sent, between the launches that they made.
"""

import sys
import threading
from pathlib import Path

import numpy as np

from dcgan_cupy.config import Config
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.trainer import Trainer
from dcgan_cupy.workers import Workers

from .course.svg import Picture

OUT = Path(__file__).resolve().parent.parent / "docs/images/workers.svg"


class Threads(Workers):
    """Workers in threads of one process; the first notes what it sends, after how many launches."""

    def __init__(self, rank, sent, barrier, launches, noted):
        super().__init__(rank, len(sent))
        self.sent, self.barrier, self.launches, self.noted = sent, barrier, launches, noted

    def exchange(self, sent, received):
        self.sent[self.rank] = sent
        self.barrier.wait()
        if self.first:
            self.noted.append((len(self.launches), sum(piece.nbytes for piece in sent if piece is not None)))
        for r, piece in enumerate(received):
            if piece is not None:
                piece[...] = self.sent[r][self.rank]
        self.barrier.wait()


def play() -> tuple[list, list]:
    """The first worker's launches (names) in one step, and what it sent: (launches before it, bytes) each."""
    config = Config(batch_size=64).resolved("cpu")
    device, sent, barrier, launches, noted = CpuDevice(), [None, None], threading.Barrier(2), [], []
    main = []

    def watch(kernel, grid, block, arguments, run):
        run()
        if threading.current_thread() is main[0]:
            launches.append(kernel.symbol)

    def one(rank):
        trainer = Trainer(config, device, Threads(rank, sent, barrier, launches, noted))
        batches = [device.array(np.zeros((32, 32, 32, 3), np.float32)) for _ in range(2)]  # two: no step is replayed
        trainer.step(batches[0])
        barrier.wait()
        if rank == 0:
            launches.clear()
            noted.clear()
        barrier.wait()
        trainer.step(batches[1])

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(2)]
    main.append(threads[0])
    with device.watched(watch):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return launches, noted


def draw(launches: list, noted: list) -> Picture:
    """Launches along the way, what is sent as bars: their height the bytes, on a scale of powers of ten."""
    picture = Picture(190, "What one of two workers sends in a step")
    left, right, base, top = 34, 390, 140, 30
    place = lambda n: left + (right - left) * n / len(launches)
    across = [(str(n), n / len(launches)) for n in range(0, len(launches), 50)]
    picture.axes(left, top, right - left, base - top, across, [("100 B", 0.2), ("10 kB", 0.6), ("1 MB", 1.0)])
    picture.text(left, 11, "bytes that one worker sends to the other", "m", size=9)
    picture.text(right, base + 26, "launches of the step, in their order", "m", "end", 9)
    adam = [n for n, name in enumerate(launches) if name == "adam_step"]
    for n, name in zip(adam, ("D's weights change", "G's weights change")):
        picture.line(place(n), top - 10, place(n), base, "lg", 1, "2 2")
        picture.text(place(n) - 3, top - 4, name, "m", "end", 8)
    for n, count in noted:
        kind = "b" if count > 20000 else "a" if count > 100 else "c"
        height = (base - top) * min(1.0, max(0.05, (np.log10(count) - 1) / 5))
        picture.rect(place(n) - 1.5, base - height, 3, height, kind, 0.5)
    x = left
    for kind, words in (("a", "statistics of batch norm, sums of its gradient"), ("b", "gradients"), ("c", "losses")):
        picture.rect(x, 172, 8, 8, kind, 0.5)
        picture.text(x + 12, 180, words, size=9)
        x += 22 + 4.6 * len(words)
    return picture


if __name__ == "__main__":
    made = draw(*play())
    Path(sys.argv[1] if len(sys.argv) > 1 else OUT).write_text(str(made), encoding="utf-8")
