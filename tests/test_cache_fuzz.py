"""A journal or an entry that is not as it was written: noticed, made again, never used, never a traceback."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from dcgan_cupy.data import open_dataset
from dcgan_cupy.data.store import build, pool
from dcgan_cupy.data.store.sealed import seal, unseal

OPTIONS = {"image_size": 8, "on_bad": "skip"}
PICTURES, PIECES = 40, 4


class Stop(Exception):
    pass


@pytest.fixture
def made(tmp_path, monkeypatch):
    """(the source, its cache, files of a run that was stopped, files of one that ended, what is right)."""
    from dcgan_cupy.data import reader

    monkeypatch.setattr(pool, "cores", lambda: 1)
    monkeypatch.setattr(reader, "CHUNK", PICTURES // PIECES)
    rng = np.random.default_rng(0)
    for i in range(PICTURES):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
        if i % 9 == 4:
            path.write_bytes(path.read_bytes()[:60])
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 3:
            raise Stop

    source, cache = str(tmp_path / "set"), tmp_path / "cache"
    with pytest.raises(Stop):
        open_dataset(source, cache=cache, progress=stop, **OPTIONS)
    data = cache / "data"
    stopped = {path: path.read_bytes() for path in data.iterdir()}
    assert sorted(path.suffix for path in stopped) == [".journal", ".part"]
    right = whole(open_dataset(source, cache=cache, **OPTIONS))
    ended = {path: path.read_bytes() for path in data.iterdir()}
    assert right[0].shape == (PICTURES - 4, 8, 8, 3) and len(right[2]) == 4
    return source, cache, stopped, ended, right


def whole(dataset):
    label = dataset.attributes["label"]
    return (
        np.array(dataset.images),
        (label.dtype, label.tolist()),
        sorted(dataset.skipped),
        dataset.classes,
        dataset.notes,
    )


def same(got, want):
    return got[0].shape == want[0].shape and (got[0] == want[0]).all() and got[1:] == want[1:]


def lay(cache, files):
    for path in (cache / "data").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, content in files.items():
        path.write_bytes(content)
        path.chmod(0o600)


def mutate(content: bytes, rng) -> bytes:
    """One to three of: a bit, a byte, a piece gone, doubled, zeroed, cut off; another digit; a line twice or gone."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        if not data:
            break
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 200))
        lines = bytes(data).split(b"\n")
        line = int(rng.integers(len(lines)))
        what = rng.integers(9)
        if what == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif what == 1:
            data[at] = int(rng.integers(256))
        elif what == 2:
            del data[at : at + size]
        elif what == 3:
            data[at:at] = data[at : at + size]
        elif what == 4:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif what == 5:
            del data[at:]
        elif what == 6:
            digits = [i for i, c in enumerate(data) if 48 <= c < 58]
            if digits:
                data[digits[int(rng.integers(len(digits)))]] = 48 + int(rng.integers(10))
        elif what == 7:
            data = bytearray(b"\n".join([*lines[:line], *lines[line + 1 :]]))
        else:
            data = bytearray(b"\n".join([*lines[: line + 1], *lines[line:]]))
    return bytes(data)


def fuzz(made, times, seed):
    source, cache, stopped, ended, right = made
    rng, changed = np.random.default_rng(seed), 0
    for number in range(times):
        files = dict(stopped if number % 2 else ended)
        path = (
            sorted(files)[int(rng.integers(2))]
            if number % 3
            else next(p for p in files if p.suffix in (".json", ".journal"))
        )
        files[path] = mutate(files[path], rng)
        changed += files[path] != (stopped if number % 2 else ended)[path]
        lay(cache, files)
        for _ in range(2):  # the run that finds it, and the one after it
            assert same(whole(open_dataset(source, cache=cache, **OPTIONS)), right), (number, path)
        assert sorted(p.suffix for p in (cache / "data").iterdir()) == [".json", ".npy"]
    assert changed > 0.9 * times


def test_mutated_at_random(made):
    fuzz(made, 50, 1)


@pytest.mark.long
def test_mutated_at_random_for_long(made):
    fuzz(made, 2000, 2)


@pytest.mark.parametrize(
    "old, new",
    [
        (b'"images"', b'"imagds"'),
        (b'"stop": 20', b'"stop": 21'),
        (b'"stop": 20', b'"stop": 200'),
        (b'"stop": 20', b'"stop": -2'),
        (b'"images": 9', b'"images": 1e999'),
        (b'"images": 9', b'"images": -1'),
        (b'"base64": "AAAAAA', b'"base64": "AQAAAA'),
        (b'"base64": "AAAAAA', b'"base64": "*AAAAA'),
        (b"truncated", b"truncate\xff"),
        (b'"lost": 1', b'"lost": 0'),
        (b'"damage": ""', b'"damage": "much"'),
    ],
)
def test_one_altered_word_of_a_journal(made, old, new):
    source, cache, stopped, _, right = made
    files = {p: (c.replace(old, new) if p.suffix == ".journal" else c) for p, c in stopped.items()}
    if files == stopped:
        pytest.skip("no such word in this journal") if old == b"truncated" else pytest.fail("no such word")
    lay(cache, files)
    assert same(whole(open_dataset(source, cache=cache, **OPTIONS)), right)


def test_a_journal_goes_on_after_the_last_good_line(made, monkeypatch):
    source, cache, stopped, _, right = made
    from dcgan_cupy.data import picture

    for bad, first in ((1, 0), (2, 10), (3, 20), (None, 30)):
        files = dict(stopped)
        (journal,) = (p for p in files if p.suffix == ".journal")
        lines = files[journal].split(b"\n")
        if bad is not None:
            lines[bad] = lines[bad].replace(b'"lost"', b'"lots"')
            files[journal] = b"\n".join(lines)
        lay(cache, files)
        read = []
        real = picture.decode_each
        with monkeypatch.context() as patch:
            patch.setattr(
                picture,
                "decode_each",
                lambda names, *rest, real=real, read=read: read.extend(names) or real(names, *rest),
            )
            assert same(whole(open_dataset(source, cache=cache, **OPTIONS)), right)
        assert len(read) == PICTURES - first, bad


def test_zeros_behind_a_journal(made):
    source, cache, stopped, _, right = made
    lay(cache, {p: c + bytes(512) if p.suffix == ".journal" else c for p, c in stopped.items()})
    assert same(whole(open_dataset(source, cache=cache, **OPTIONS)), right)


def test_sealed_lines_know_their_place():
    one, first = seal({"a": 1, "b": "é\udc80"})
    two, _ = seal({"a": 2}, first)
    assert unseal(one) == ({"a": 1, "b": "é\udc80"}, first) and unseal(two, first)[0] == {"a": 2}
    assert unseal(two) is None and unseal(one, first) is None and unseal(json.dumps({"a": 1}).encode()) is None
    for i in range(len(one)):
        assert unseal(one[:i] + bytes([one[i] ^ 1]) + one[i + 1 :]) is None


def test_samples_of_a_large_entry_are_others_each_time(made, monkeypatch):
    from dcgan_cupy.data.store import entry

    source, cache, _, ended, right = made
    files = dict(ended)
    (path,) = (p for p in files if p.suffix == ".npy")
    data = bytearray(files[path])
    data[200] ^= 1  # in the first piece
    files[path] = bytes(data)
    monkeypatch.setattr(entry, "VERIFIED", 3000)  # every third piece
    for taken, noticed in ((1, False), (0, True)):
        monkeypatch.setattr(entry.random, "randrange", lambda _, taken=taken: taken)
        lay(cache, files)
        assert same(whole(open_dataset(source, cache=cache, **OPTIONS)), right) == noticed
    assert build.VERIFIED == 1 << 30
