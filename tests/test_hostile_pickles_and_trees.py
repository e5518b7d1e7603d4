"""Pickles that would run something, LMDB trees with wrong numbers."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import specimens
from hostile_cases import IMAGES, LABELS, guarded, place, refused  # noqa: F401


class Runs:
    def __init__(self, call, *arguments):
        self.how = call, arguments

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize(
    "value",
    [
        Runs(os.system, "touch /tmp/pwned"),
        Runs(eval, "open('/tmp/pwned', 'w')"),
        {b"data": Runs(exec, "open('/tmp/pwned', 'w')")},
        {b"data": np.empty(10, object)},
        {b"data": {}},
        {b"data": np.zeros((3, 3072))},
        {b"data": np.zeros((3, 100), np.uint8)},
        {b"data": IMAGES.reshape(12, -1), b"labels": ["a"] * 12},
        {b"data": IMAGES.reshape(12, -1), b"labels": [1]},
        {b"data": IMAGES.reshape(12, -1), b"labels": [-1] * 12},
        [1, 2, 3],
        Path("a"),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_run_nothing(place, value, protocol):
    (place / "data_batch_1").write_bytes(pickle.dumps(value, protocol))
    refused(place / "data_batch_1")


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02cos\nsystem\n(S'touch /tmp/pwned'\ntR.",
        b"\x80\x02cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x02(S'touch /tmp/pwned'\nios\nsystem\n.",
        b"\x80\x02cnumpy\nndarray\n((I1000000000000\ntI1\ntR.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(tR(I1\n(I99999999999\ntcnumpy\ndtype\n(S'u1'\ntRI00\nS'a'\ntb.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x02" + b"(" * 100000 + b".",
        b"\x80\x02)" + b"\x85" * 200000 + b"Ns.",
        b"\x80\x02]" + b"q\0h\0a" * 50 + b".",
        b"\x80\x02\x8b\xff\xff\xff\x7f1.",
        b"\x80\x05\x97.",
        b"\x80\x02P1\n.",
        b"\x80\x02L" + b"9" * 100000 + b"L\n.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02}(U\x04datacnumpy\ndtype\n(U\x02O8tRu.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0hextR.",
    ],
    ids=range(18),
)
def test_pickles_written_by_hand(place, code):
    (place / "data_batch_1").write_bytes(code)
    refused(place / "data_batch_1", format="pickle")


@pytest.mark.parametrize(
    "at, value", [(128, 2**40), (128, 0), (128, 1), (40, 3), (40, 2**31)]
)  # the tree's root, the pages' size
def test_lmdb_with_wrong_numbers(place, at, value):
    path = specimens.lmdb(place, IMAGES, LABELS) / "data.mdb"
    data = bytearray(path.read_bytes())
    for meta in (0, 4096):
        data[meta + at : meta + at + 4] = struct.pack("<Q", value)[:4]
        if value == 2**40:
            data[meta + at : meta + at + 8] = struct.pack("<Q", value)
    path.write_bytes(data)
    refused(path)


def test_lmdb_whose_tree_is_a_circle(place):
    path = specimens.lmdb(place, IMAGES, LABELS) / "data.mdb"
    data = bytearray(path.read_bytes())
    (root,) = struct.unpack_from("<Q", data, 4096 + 16 + 24 + 48 + 40)
    page = root * 4096
    data[page + 10 : page + 14] = struct.pack("<HH", 1, 18)  # a branch with one child: itself
    data[page + 16 : page + 18] = struct.pack("<H", 100)
    data[page + 100 : page + 108] = struct.pack("<HHHH", root, 0, 0, 0)
    path.write_bytes(data)
    assert "circle" in refused(path)
