"""Kernel cache: its key holds every header that a compiled text can reach, found by following what is included."""

import re
import shutil
from pathlib import Path

import pytest

from dcgan_cupy.device.host import build as building
from dcgan_cupy.device.host import launch

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)


def reached(text: str, folder: Path) -> set[Path]:
    """Files that a text includes by name, and those that they include."""
    found, left = set(), [text]
    while left:
        for name in INCLUDE.findall(left.pop()):
            path = folder / name
            if path.is_file() and path not in found:
                found.add(path)
                left.append(path.read_text(encoding="utf-8"))
    return found


def host_texts():
    """What the host puts in front of a kernel, and the pool."""
    own = Path(launch.__file__).read_text(encoding="utf-8")
    included = re.findall(r"#include \"([\w.]+)\"", own)
    assert {"cuda_on_host.hpp", "async_copy.hpp"} <= set(included)
    return [*(f'#include "{name}"\n' for name in included), (building.HERE / "pool.cpp").read_text(encoding="utf-8")]


def test_every_header_is_part_of_the_key():
    files = set().union(*(reached(text, building.HERE) for text in host_texts()))
    assert {"cuda_on_host.hpp", "async_copy.hpp", "launch.h"} <= {path.name for path in files}
    for path in files:
        assert path.read_text(encoding="utf-8") in building.headers(), path.name


@pytest.mark.parametrize("name", ["cuda_on_host.hpp", "async_copy.hpp", "launch.h", "new.hpp"])
def test_a_changed_or_new_header_changes_the_key(tmp_path, monkeypatch, name):
    for path in (*building.HERE.glob("*.h"), *building.HERE.glob("*.hpp")):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(building, "HERE", tmp_path)
    before = building.headers.__wrapped__()
    with open(tmp_path / name, "a", encoding="utf-8") as file:
        file.write("// changed\n")
    assert building.headers.__wrapped__() != before
