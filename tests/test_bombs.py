"""Data files that claim or inflate to more than they hold."""

import struct
import zipfile
import zlib

import pytest
import specimens
from hostile_cases import IMAGES, LABELS, PNG, guarded, opened, place, refused  # noqa: F401

from dcgan_cupy.data import DataError


def test_bomb_by_pixels(place):
    def png(width, height):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(bytes(100)))
            + chunk(b"IEND", b"")
        )

    for i, size in enumerate([(60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (9000, 9000), (0, 5)]):
        (place / f"bomb{i}.png").write_bytes(png(*size))
    (place / "good.png").write_bytes(PNG)
    dataset = opened(place)
    assert len(dataset) == 1 and len(dataset.skipped) == 5
    assert dict(dataset.skipped)["bomb3.png"] == "9000 x 9000 pixels, more than 67,108,864"


def test_bomb_by_zip_ratio(place):
    with zipfile.ZipFile(place / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1 << 24))  # 16 MB of nothing: no image
        archive.writestr("b.png", PNG)
    data = bytearray((place / "bomb.zip").read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    data[at + 24 : at + 28] = struct.pack("<I", 1000)  # and a directory that says it is small
    (place / "bomb.zip").write_bytes(data)
    dataset = opened(place / "bomb.zip")
    assert len(dataset) == 1 and dataset.skipped == [("a.png", "the archive promises 1,000 bytes, there are more")]


def test_zip_members_that_claim_gigabytes(place):
    with zipfile.ZipFile(place / "big.zip", "w") as archive:
        archive.writestr("a.png", PNG)
        archive.writestr("b.png", PNG)
    data = bytearray((place / "big.zip").read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    (place / "big.zip").write_bytes(data)
    dataset = opened(place / "big.zip")
    assert len(dataset) == 1 and "2,147,483,648 bytes, more than" in dataset.skipped[0][1]


@pytest.mark.parametrize(
    "shape", [(2**32 - 1, 28, 28), (1, 2**32 - 1, 2**32 - 1), (5, 0, 28), (5, 2**16, 2**16), (0, 28, 28)]
)
def test_idx_that_claims_much(place, shape):
    (place / "x-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *shape) + bytes(5 * 784))
    if shape[0] == 2**32 - 1:
        dataset = opened(place / "x-images-idx3-ubyte", channels=1)
        assert len(dataset) == 5 and dataset.skipped[0][0] == "x-images-idx3-ubyte[5 to 4294967294]"
    else:
        refused(place / "x-images-idx3-ubyte", channels=1)


def npy(shape: str, descr: str = "|u1", data: bytes = bytes(4096)) -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "shape",
    [
        "(2**40, 32, 32, 3)",
        "(1099511627776, 32, 32, 3)",
        "(-1, 32, 32, 3)",
        "(5, 100000, 100000, 3)",
        "(1e9, 2, 2)",
        "(True, 32, 32, 3)",
        "()",
        "(3,)",
        "(99999999999999999999, 2, 2)",
        "[5, 32, 32]",
        "((((((5))))))",
    ],
)
def test_npy_headers(place, shape):
    (place / "a.npy").write_bytes(npy(shape))
    try:
        assert len(opened(place / "a.npy")) <= 2
    except DataError as error:
        assert "a.npy" in str(error)


@pytest.mark.parametrize(
    "descr", ["|O", "<f4", "<M8", "|V16", "|S5", "nonsense", "__import__('os').system('touch /tmp/pwned')"]
)
def test_npy_of_other_things(place, descr):
    (place / "a.npy").write_bytes(npy("(4, 32, 32)", descr))
    assert "a.npy" in refused(place / "a.npy")


def test_npz_that_claims_much(place):
    with zipfile.ZipFile(place / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", npy("(1000000000, 32, 32, 3)", data=IMAGES[:3].tobytes()))
        archive.writestr("labels.npy", npy("(1000000000,)", "<i8"))
    dataset = opened(place / "a.npz")
    assert (dataset.images == IMAGES[:3]).all() and dataset.skipped[0][0] == "a.npz/images[3 to 999999999]"


@pytest.mark.parametrize("size", [2**31 - 1, 2**32 - 1, 1000])
def test_mat_that_claims_much(place, size):
    specimens.mat_plain(place, IMAGES, LABELS)
    data = bytearray((place / "train_32x32.mat").read_bytes())
    data[132:136] = struct.pack("<I", size)
    (place / "train_32x32.mat").write_bytes(data)
    refused(place / "train_32x32.mat")
