"""Images that cannot be read: how many are skipped, and what is said."""

import pytest
from hostile_cases import IMAGES, PNG, guarded, opened, place  # noqa: F401
from PIL import Image

from dcgan_cupy.data import DataError, open_dataset
from dcgan_cupy.data.__main__ import main


def test_mixed_sizes_and_modes(place):
    for i, (mode, size) in enumerate(
        [
            ("RGB", (1, 1)),
            ("L", (30_000, 1)),
            ("RGBA", (1, 30_000)),
            ("P", (5, 7)),
            ("1", (9, 3)),
            ("LA", (40, 40)),
            ("I;16", (33, 20)),
        ]
    ):
        Image.new(mode, size).save(place / f"{i}.png")
    Image.new("CMYK", (40, 30)).save(place / "7.jpg")
    Image.new("L", (30_000, 2000)).save(place / "8.png")
    dataset = opened(place, on_bad="fail")
    assert len(dataset) == 9


def test_a_cache_that_is_only_read(place, monkeypatch):
    (place / "good.png").write_bytes(PNG)

    def strict(path):  # what a read-only disk does, also for root
        raise OSError(30, "Read-only file system", str(path))

    from dcgan_cupy.data.store import build

    monkeypatch.setattr(build, "open_to_write", strict)
    with pytest.warns(RuntimeWarning, match=r"need a folder that can be written, got .* \(Read-only file system\)"):
        assert (opened(place).images == IMAGES[:1]).all()


def test_one_in_a_hundred(place):
    for i in range(198):
        (place / f"{i:03d}.png").write_bytes(PNG)
    (place / "bad1.png").write_bytes(b"no image")
    assert len(open_dataset(str(place), 16)) == 198
    with pytest.raises(DataError, match=r"need all images readable .* got 1 in .*: bad1.png: not a PNG"):
        open_dataset(str(place), 16, on_bad="fail")
    (place / "bad2.png").write_bytes(b"no image")
    (place / "bad3.png").write_bytes(b"no image")
    with pytest.raises(
        DataError, match=r"need at most 1% unreadable images \(--on-bad skip leaves .*, got 3 in .*: bad1.png: .*; bad3"
    ):
        open_dataset(str(place), 16)
    assert len(open_dataset(str(place), 16, on_bad="skip")) == 198
    with pytest.raises(DataError, match="got 3 in"):  # from the cache, where they are now
        open_dataset(str(place), 16)
    with pytest.raises(DataError, match="on_bad: need one of skip, fail, got 'maybe'"):
        open_dataset(str(place), 16, on_bad="maybe")


def test_too_many_are_noticed_early(place, monkeypatch):
    from dcgan_cupy.data import reader

    monkeypatch.setattr(reader, "CHUNK", 10)
    for i in range(200):
        (place / f"{i:03d}.png").write_bytes(b"none" if i < 20 else PNG)
    seen = []
    with pytest.raises(DataError, match="need images that can be read"):
        open_dataset(str(place), 16, progress=lambda done, total: seen.append(done))
    assert seen == [10]


def test_the_command_names_what_was_skipped(place, capsys):
    (place / "good.png").write_bytes(PNG)
    (place / "bad[1].png").write_bytes(b"no image")
    assert main(["prepare", str(place), "--on-bad", "skip", "--image-size", "16"]) == 0
    out, err = capsys.readouterr()
    assert "1: not a PNG" in out and "bad[1].png: not a PNG" in out and err == ""
    assert main(["prepare", str(place), "--image-size", "16"]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "bad[1].png: not a PNG" in err
