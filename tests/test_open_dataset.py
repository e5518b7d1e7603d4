"""What open_dataset refuses."""

import pytest
from data_cases import own_cache, photos  # noqa: F401

from dcgan_cupy.data import DataError, open_dataset
from dcgan_cupy.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("nowhere", 16),
            r"source: need the name of a dataset \(faces, .*\) or the path of one, got 'nowhere' "
            r"\(does not exist\)",
        ),
        (("", 16), r"source: need the name .*, got '' \(no name\)"),
        (("a\0b", 16), r"source: need the name .*, got 'a\\x00b' \(embedded null byte\)"),
        (("x" * 5000, 16), r"source: need the name .* \(File name too long\)"),
        ((__file__, 16), r"source: need a folder, zip or tar .*test_open_dataset.py' \(a file of another kind\)"),
        (("faces", 7), r"image_size: need a whole number from 8 to 1024, got 7"),
        (("faces", 2000), r"image_size: need a whole number from 8 to 1024, got 2000"),
        (("faces", 32.0), r"image_size: need a whole number from 8 to 1024, got 32.0"),
        (("faces", 16, 2), r"channels: need 1 \(grey\) or 3 \(RGB\), got 2"),
        (("faces", 16, 4), r"channels: need 1 \(grey\) or 3 \(RGB\), got 4"),
        (("faces", 16, True), r"channels: need 1 \(grey\) or 3 \(RGB\), got True"),
    ],
)
def test_open_dataset_refuses(arguments, message):
    with pytest.raises(DataError, match="^open_dataset: " + message):
        open_dataset(*arguments)


def test_open_dataset_refuses_count_and_seed(photos):
    with pytest.raises(DataError, match=r"count: need a whole number of at least 1, got 0$"):
        open_dataset("faces", 16, count=0)
    with pytest.raises(DataError, match=r"seed: need a whole number of at least 0, got -1$"):
        open_dataset("faces", 16, seed=-1)
    assert issubclass(DataError, UserError)


def test_open_dataset_folder_with_nothing_to_read(photos, own_cache):
    with pytest.raises(DataError, match=r"source: need a folder with image files .*photos, which has none$"):
        open_dataset(str(photos), 16)
    for i in range(5):
        (photos / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"5 skipped \(0.png: an empty file; 1.png: .*; 2.png: .* and 2 more\)$"):
        open_dataset(str(photos), 16)
    assert list(own_cache.iterdir()) == []  # nothing to keep, so nothing kept
