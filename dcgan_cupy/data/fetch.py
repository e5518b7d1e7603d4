"""Datasets that may be had from anywhere: fetched with pooch, checked by SHA-256, from one mirror after the other.

The addresses are in addresses.json, beside this file. $DCGAN_CUPY_ADDRESSES names a file of the same form whose entries
go before those: another mirror, a server in your own house, or another dataset.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from ..cache import cache_root, private_folder, why_not_read
from ..errors import UserError
from ..machine import counted
from .reader import DataError

TABLE = Path(__file__).with_name("addresses.json")
FETCHED = tuple(json.loads(TABLE.read_text(encoding="utf-8")))
TIMEOUT = (10, 30)  # seconds without an answer, and without a byte
SLOWEST, PATIENCE = 1024, 60  # bytes a second, over so many seconds: a server that only trickles is no server
TRIES = 5  # connections to one mirror, each going on where the last one broke off

CONSENT = {
    "celeba": "CelebA asks for your consent: get img_align_celeba.zip from "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, "
    "leave it packed, and give it: --data img_align_celeba.zip --crop 108",
    "lsun": "LSUN is fetched with its own script, "
    "https://github.com/fyu/lsun (download.py -c bedroom); unzip it once and "
    "give the folder: --data bedroom_train_lmdb",
    "imagenet": "ImageNet asks for an account and your consent: https://image-net.org/download. Give the folder of "
    "classes, the training tar (ILSVRC2012_img_train.tar) as it is, or the downsampled batches: --data imagenet/train",
}
CONSENT["imagenet32"] = CONSENT["imagenet"]


class Failed(Exception):
    """One mirror did not give the file; the message says why."""


def fetched_folder(name: str) -> Path:
    """Where a fetched dataset lies, once it does."""
    return cache_root() / "fetched" / name


def addresses() -> dict:
    """The table, with the user's own entries before it. Raises: DataError if those are not as the table is."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    own = os.environ.get("DCGAN_CUPY_ADDRESSES")
    if not own:
        return table
    try:
        for name, entry in json.loads(Path(own).read_text(encoding="utf-8")).items():
            if not all(isinstance(mirror, str) for mirror in entry["mirrors"]):
                raise ValueError(f"{name}: mirrors")
            known = table.get(name, {"mirrors": [], "files": {}})
            table[name] = {
                "mirrors": [*entry["mirrors"], *known["mirrors"]],
                "files": entry.get("files", known["files"]),
            }
            for file in table[name]["files"].values():
                int(file["bytes"]), int(file["sha256"], 16)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"fetch: DCGAN_CUPY_ADDRESSES: need a JSON file like {TABLE}, got {own} "
            f"({getattr(error, 'strerror', None) or error})"
        ) from None
    return table


def fetch(name: str, progress: Callable[[str, int, int], None] | None = None) -> Path:
    """The folder of a dataset, fetched unless it is there. progress(file, bytes done, bytes in all).

    Raises: DataError, with the reason of each mirror; nothing half-made stays but the .part that the next try goes on
    with.
    """
    if name in CONSENT:
        raise DataError(f"fetch: {CONSENT[name]}")
    table = addresses()
    if name not in table:
        raise DataError(f"fetch: name: need one of {', '.join(table)}, got {name!r}")
    folder, waiting = fetched_folder(name), fetched_folder(name).with_name(f"{name}.incomplete")
    if folder.is_dir():
        if reason := why_not_read(folder):
            raise DataError(f"fetch: {name}: need it as you fetched it, got {reason}")
        return folder
    try:
        private_folder(waiting)
        for file, facts in table[name]["files"].items():
            _fetch_file(file, facts, table[name]["mirrors"], waiting, progress)
        os.replace(waiting, folder)
    except OSError as error:
        raise DataError(
            f"fetch: {name}: need a folder that can be written, got {waiting}: {error.strerror or error}"
        ) from None
    except UserError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"fetch: {name}: {str(error).removeprefix('cache: ')}") from None
    return folder


def _fetch_file(file: str, facts: dict, mirrors: list[str], folder: Path, progress) -> None:
    try:
        import pooch
    except ImportError:
        raise DataError("fetch: pooch: need it installed (pip install pooch), got none") from None
    pooch.get_logger().setLevel("ERROR")
    reasons = []
    for mirror in mirrors:
        part = folder / f"{file}.part"
        download = Download(
            part, facts["bytes"], None if progress is None else lambda done: progress(file, done, facts["bytes"])
        )
        try:
            pooch.retrieve(
                mirror + file, known_hash=f"sha256:{facts['sha256']}", fname=file, path=folder, downloader=download
            )
            return
        except Failed as error:
            reasons.append(f"{mirror}: {error}")
        except ValueError:  # pooch's word for another checksum
            reasons.append(f"{mirror}: another SHA-256 than {facts['sha256'][:12]}…")
    raise DataError(
        f"fetch: {file}: need it from one of {counted(len(mirrors), 'mirror')}, got none ({'; '.join(reasons)})"
    )


class Download:
    """What pooch calls for a file: goes on with the .part that is there, and tries again where a connection breaks
    off."""

    def __init__(self, part: Path, size: int, progress: Callable[[int], None] | None):
        self.part, self.size, self.progress = part, size, progress

    def __call__(self, address: str, output: str, _pooch) -> None:
        import requests
        import urllib3

        reason = ""
        for attempt in range(TRIES):
            before = self._done()
            if before >= self.size:
                break
            try:
                self._connect(requests, address)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = _short(error)
            if self._done() == before and attempt:
                break  # it gave nothing, twice
        if self._done() != self.size:
            raise Failed(reason or f"it broke off after {self._done():,} of {self.size:,} bytes")
        os.replace(self.part, output)

    def _done(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _connect(self, requests, address: str) -> None:
        """Appends what one connection gives. Raises: Failed where another try would be no better."""
        start = self._done()
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        with requests.get(address, stream=True, timeout=TIMEOUT, headers=headers) as answer:
            if answer.status_code == 416:
                self.part.unlink(missing_ok=True)
                raise Failed("it has fewer bytes than were already fetched")
            if answer.status_code not in (200, 206):
                raise Failed(f"answer {answer.status_code}")
            if "html" in answer.headers.get("Content-Type", ""):
                raise Failed("an HTML page instead of the file")
            went_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            )
            start = start if went_on else 0
            length = answer.headers.get("Content-Length", "")
            if length.isdecimal() and start + int(length) != self.size:
                raise Failed(f"it announces {start + int(length):,} bytes, need {self.size:,}")
            with open(self.part, "r+b" if start else "wb") as file:
                file.seek(start)
                self._receive(answer, file, start)

    def _receive(self, answer, file, done: int) -> None:
        since, had = time.monotonic(), done
        while piece := answer.raw.read1(1 << 16):  # what is there, without waiting until it is much
            if done == 0 and piece.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
                raise Failed("an HTML page instead of the file")
            if done + len(piece) > self.size:
                file.truncate(0)
                raise Failed(f"it sends more than {self.size:,} bytes")
            file.write(piece)
            done += len(piece)
            if self.progress is not None:
                self.progress(done)
            if time.monotonic() - since > PATIENCE:
                if done - had < SLOWEST * PATIENCE:
                    raise Failed(f"too slow: {(done - had) / PATIENCE:.0f} bytes a second")
                since, had = time.monotonic(), done


def _short(error: Exception) -> str:
    """What a connection's error is about, in a few words."""
    text = str(error)
    for words, meaning in (
        ("timed out", "no answer in time"),
        ("refused", "the connection was refused"),
        ("resolve", "its name is not known here"),
        ("Name or service", "its name is not known here"),
        ("reset", "the connection broke off"),
        ("IncompleteRead", "the connection broke off"),
        ("aborted", "the connection broke off"),
        ("broken", "the connection broke off"),
    ):
        if words.lower() in text.lower():
            return meaning
    return " ".join(text.split())[:120]
