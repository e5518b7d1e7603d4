"""Tasks over worker processes: the same results in the same order, whatever becomes of the processes."""

import os
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from dcgan_cupy.data import faces, reader
from dcgan_cupy.data.store import entry as cache
from dcgan_cupy.data.store import pool

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))


def drawn(count: int) -> np.ndarray:
    """Faces by whatever pool there is."""
    tasks = faces.Faces(reader.Look(16, 3), 0, count).tasks(0)
    done = list(pool.in_order(cache.carry_out, tasks))
    assert [task.stop for task, _ in done] == [*range(64, count, 64), count]
    return np.concatenate([batch.images for _, batch in done])


def test_pool_gives_the_same_in_order(monkeypatch):
    alone = drawn(400)
    monkeypatch.setattr(pool, "PATIENCE", 0)
    monkeypatch.setattr(pool, "STARTS", 0)
    monkeypatch.setattr(pool, "cores", lambda: 2)
    assert (drawn(400) == alone).all()  # some here, while the workers start
    monkeypatch.setattr(pool, "_is_done", lambda future: True)
    assert (drawn(400) == alone).all()


def test_pool_gives_several_short_tasks_at_a_time():
    large = b"x" * pool.BYTES
    assert [some for some, _ in pool._groups(iter([1, 2, large, 3, 4, 5]), 2)] == [[1, 2], [large], [3, 4], [5]]
    assert [some for some, _ in pool._groups(iter([1, large, 2, 3]), 4)] == [[1, large], [2, 3]]


def square(task: int) -> int:
    return task * task


def fails(task):
    if task >= 3:
        raise OSError(5, "the task's own trouble")
    return task


@pytest.fixture
def pooled(monkeypatch):
    """Two workers from the first task on, and groups of many: what each was given."""
    groups = []
    real = pool._groups

    def noted(tasks, most):
        for group in real(tasks, most):
            groups.append(len(group[0]))
            yield group

    monkeypatch.setattr(pool, "PATIENCE", 0)
    monkeypatch.setattr(pool, "STARTS", 0)
    monkeypatch.setattr(pool, "cores", lambda: 2)
    monkeypatch.setattr(pool, "_is_done", lambda future: True)
    monkeypatch.setattr(pool, "_groups", noted)
    return groups


def test_pool_in_groups(pooled):
    assert list(pool.in_order(square, range(400))) == [(i, i * i) for i in range(400)]
    assert max(pooled) == pool.GROUP and sum(pooled) == 399  # the first was done here


@pytest.mark.parametrize("cores", [1, 2])
def test_pool_passes_errors_on_after_what_came_before(monkeypatch, pooled, cores):
    monkeypatch.setattr(pool, "cores", lambda: cores)
    done = []
    with pytest.raises(OSError, match="the task's own trouble"):
        for _, result in pool.in_order(fails, range(40)):
            done.append(result)
    assert done == [0, 1, 2]


class NoPool:
    """A system that has no semaphores."""

    def __init__(self, *_, **__):
        raise OSError("no semaphores on this system")


class BrokenPool:
    """Its processes are gone after some submissions."""

    def __init__(self, *_, **__):
        self.given = 0

    def submit(self, task, *arguments):
        future = Future()
        if self.given >= 5:
            future.set_exception(pool.BrokenProcessPool("killed"))
        else:
            future.set_result(task(*arguments))
        self.given += 1
        return future

    def shutdown(self, **_):
        pass


class FullPool(BrokenPool):
    """Refuses work after some submissions."""

    def submit(self, task, *arguments):
        if self.given >= 5:
            raise pool.BrokenProcessPool("killed")
        return super().submit(task, *arguments)


@pytest.mark.parametrize("broken", [NoPool, BrokenPool, FullPool])
def test_pool_without_processes_works_here(monkeypatch, pooled, broken):
    monkeypatch.setattr(pool, "ProcessPoolExecutor", broken)
    assert list(pool.in_order(square, range(400))) == [(i, i * i) for i in range(400)]
    assert broken is NoPool or max(pooled) == pool.GROUP


def test_pool_is_not_started_for_the_last_tasks(monkeypatch):
    monkeypatch.setattr(pool, "PATIENCE", 0)
    monkeypatch.setattr(pool, "cores", lambda: 2)
    monkeypatch.setattr(pool, "_by_pool", lambda *_: pytest.fail("started"))
    assert list(pool.in_order(square, range(30), 30)) == [(i, i * i) for i in range(30)]
    with pytest.raises(pytest.fail.Exception):
        list(pool.in_order(square, range(30), 10**9))


def test_faces_in_a_script_without_a_main_guard(tmp_path):
    """Worker processes must not run the caller's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "print('started')\n"
        "from dcgan_cupy.data import open_dataset\nfrom dcgan_cupy.data.store import pool\n"
        "pool.PATIENCE, pool.STARTS, pool.cores = 0, 0, lambda: 2\n"
        "print(open_dataset('faces', 16, count=130).images.shape)\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n(130, 16, 16, 3)\n", "")
