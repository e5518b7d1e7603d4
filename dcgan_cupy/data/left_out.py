"""What lies in a folder of images and is none, counted by suffix: nothing is left out unsaid."""

import os
from collections import Counter
from pathlib import PurePath

from ..machine import counted
from .picture import SUFFIXES

SHOWN = 6  # kinds
MOST = 1_000_000  # files that are looked at


def others(reader) -> str:
    """In words, such as `12 files of other kinds: tif 10, txt 2`; nothing where there are none."""
    kinds = getattr(reader, "left_out", None)  # of a reader that counts them itself
    if kinds is None:
        kinds = _kinds(reader) if reader.format == "folder" else {}
    if not kinds:
        return ""
    listed = [f"{kind} {count:,}" for kind, count in Counter(kinds).most_common()]
    more = ", …" if len(listed) > SHOWN else ""
    return f"{counted(sum(kinds.values()), 'file')} of other kinds: {', '.join(listed[:SHOWN])}{more}"


def _kinds(reader) -> Counter:
    """Suffix -> how many files below a folder are neither read nor named as skipped. Hidden ones are not counted."""
    taken = {*reader.names, *(name for name, _ in reader.skipped)}
    kinds: Counter = Counter()
    looked = 0
    for place, folders, files in os.walk(reader.source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            relative = os.path.relpath(os.path.join(place, name), reader.source).replace(os.sep, "/")
            if not name.startswith(".") and relative not in taken and not name.lower().endswith(SUFFIXES):
                kinds[PurePath(name).suffix[1:].lower() or "no suffix"] += 1
        looked += len(files)
        if looked > MOST:
            break
    return kinds
