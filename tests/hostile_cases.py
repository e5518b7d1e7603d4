"""What the tests of hostile share."""

import signal
from pathlib import Path

import pytest
import specimens

from dcgan_cupy.data import DataError, open_dataset

IMAGES, LABELS = specimens.pictures()


PNG = specimens.png(IMAGES[0])


@pytest.fixture(autouse=True)
def guarded(tmp_path, monkeypatch):
    """A cache of its own, an end to whatever hangs, and nothing new outside of the cache afterwards."""
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def too_long(*_):
        raise AssertionError("hangs")

    old = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)
    assert not Path("/tmp/pwned").exists() and not (tmp_path.parent / "escaped.png").exists()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


def opened(path, **options):
    return open_dataset(str(path), 32, **{"on_bad": "skip", **options})


def refused(path, **options) -> str:
    """The sentence."""
    with pytest.raises(DataError, match=r"^open_dataset: \w+: need .*, got ") as caught:
        opened(path, **options)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    return text


WHOLE = {}


def whole(write) -> tuple[str, bytes]:
    """A small specimen's name and bytes, made once."""
    if write not in WHOLE:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            images, labels = specimens.pictures(6, channels=1 if write in specimens.GREY else 3)
            path = write(Path(folder), images, labels)
            files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
            file = max(files, key=lambda file: file.stat().st_size)
            WHOLE[write] = file.name, file.read_bytes()
    return WHOLE[write]
