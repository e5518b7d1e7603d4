"""Several workers in one process, a thread each, and what they train."""

import threading

import numpy as np

from dcgan_cupy.feed import Batches
from dcgan_cupy.trainer import Trainer
from dcgan_cupy.workers import Workers


class Meeting:
    """Where the threads that stand for workers hand pieces over."""

    def __init__(self, size):
        self.size, self.barrier, self.sent = size, threading.Barrier(size, timeout=120), [None] * size


class ThreadWorkers(Workers):
    """A worker of them."""

    def __init__(self, rank, meeting):
        super().__init__(rank, meeting.size)
        self.meeting = meeting
        self.bytes_sent = 0

    def exchange(self, sent, received):
        meeting = self.meeting
        meeting.sent[self.rank] = [None if piece is None else piece.copy() for piece in sent]
        self.bytes_sent += sum(piece.nbytes for piece in sent if piece is not None)
        meeting.barrier.wait()
        for r, piece in enumerate(received):
            if piece is not None:
                piece[...] = meeting.sent[r][self.rank]
        meeting.barrier.wait()


def together(size, work):
    """work(ThreadWorkers) in a thread of each; what they returned.   Raises what the first of them raised."""
    meeting, results, errors = Meeting(size), [None] * size, []

    def one(rank):
        try:
            results[rank] = work(ThreadWorkers(rank, meeting))
        except BaseException as error:
            errors.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0])
    return results


def training(device, config, images, steps, state=None):
    """work for together(): trains, and returns (each step's numbers, the trainer)."""

    def work(workers):
        trainer = Trainer(config, device, workers)
        batches = Batches(device, images, config.batch_size, config.seed, config.flip, worker=workers.place)
        if state is not None:
            trainer.load_state(state)
        told = [trainer.step(batches.next()) for _ in range(steps)]
        return told, trainer

    return work


def drawn_images(config, count=256):
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, config.image_size, config.image_size, config.channels), dtype=np.uint8)


def weights(trainer):
    """All of both networks, running statistics too, as one vector."""
    arrays = {f"{name}.{key}": a for name, state in trainer.weights().items() for key, a in state.items()}
    return np.concatenate([np.asarray(arrays[name], np.float64).ravel() for name in sorted(arrays)])


def statistics(network):
    """The running ones, as one vector."""
    state = network.state_dict()
    return np.concatenate([np.asarray(state[name], np.float64) for name in sorted(state) if "running" in name])


def apart(got, want):
    """Relative, by norm."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)
