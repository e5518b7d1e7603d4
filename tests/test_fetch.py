"""Fetching, from a server on this machine that does what servers do:

Each trouble is one sentence and leaves nothing half-made.
"""

import hashlib
import http.server
import json
import re
import threading
import time

import numpy as np
import pytest
import specimens

from dcgan_cupy.data import DataError, fetch, open_dataset
from dcgan_cupy.data.__main__ import main

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves what `files` holds; the first part of the path says how: /drop/x breaks off, and so on."""

    files, asked = {}, []

    def do_GET(self):
        how, _, name = self.path.strip("/").rpartition("/")
        start = int(self.headers.get("Range", "bytes=0-").partition("=")[2].rstrip("-"))
        self.asked.append((how, name, start))
        data = self.files.get(name, b"")
        if how == "missing":
            self.send_error(404)
            return
        if how == "html":
            data = b"  <!DOCTYPE html><html>Please accept our terms" + b" " * 1000
        if how == "page":
            data = b"<html>" + bytes(len(data) - 6)
        if how == "wrong":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if how == "silent":
            time.sleep(3)
            return
        ranged = start and how != "norange" and how != "drop-norange"
        rest = data[start:] if ranged else data
        if ranged and start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if how == "html":
            self.send_header("Content-Type", "text/html; charset=utf-8")
        if how != "nolength" and how != "more":
            self.send_header("Content-Length", str({"less": 1000, "large": 10**12}.get(how, len(rest))))
        self.end_headers()
        try:
            if how == "more":
                rest += bytes(100_000)
            if how.startswith("drop"):
                self.wfile.write(rest[:100_000])
                self.wfile.flush()
                self.connection.close()
            elif how == "trickle":
                for i in range(0, len(rest), 10):
                    self.wfile.write(rest[i : i + 10])
                    self.wfile.flush()
                    time.sleep(0.02)
            elif how == "slow":
                for i in range(0, len(rest), 60_000):
                    self.wfile.write(rest[i : i + 60_000])
                    time.sleep(0.05)
            else:
                self.wfile.write(rest)
        except OSError:
            pass

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        Server.files, Server.asked = {"set.bin": CONTENT}, []
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def table(tmp_path, monkeypatch, server):
    """table("drop", "good"): a dataset `own` with these mirrors."""
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "TIMEOUT", (1, 1))

    def write(*ways, files=("set.bin",)):
        facts = {
            name: {"bytes": len(Server.files[name]), "sha256": hashlib.sha256(Server.files[name]).hexdigest()}
            for name in files
        }
        own = {"own": {"mirrors": [f"{server}/{way}/" for way in ways], "files": facts}}
        (tmp_path / "addresses.json").write_text(json.dumps(own))
        monkeypatch.setenv("DCGAN_CUPY_ADDRESSES", str(tmp_path / "addresses.json"))
        return tmp_path / "cache" / "fetched"

    return write


@pytest.mark.parametrize("way", ["good", "slow", "drop", "drop-norange", "norange", "nolength"])
def test_fetched_whole(table, way):
    table(way)
    if way == "drop-norange":  # it begins anew each time, and never ends
        with pytest.raises(DataError, match="broke"):
            fetch.fetch("own")
        return
    folder = fetch.fetch("own")
    assert (folder / "set.bin").read_bytes() == CONTENT and [path.name for path in folder.iterdir()] == ["set.bin"]
    assert fetch.fetch("own") == folder
    starts = [start for _, _, start in Server.asked]
    assert starts == ([0, 100_000, 200_000] if way == "drop" else [0])


@pytest.mark.parametrize(
    "way, reason",
    [
        ("missing", "answer 404"),
        ("html", "an HTML page instead of the file"),
        ("page", "an HTML page instead of the file"),
        ("wrong", "another SHA-256 than"),
        ("less", "it announces 1,000 bytes, need 300,000"),
        ("more", "it sends more than 300,000 bytes"),
        ("large", "it announces 1,000,000,000,000 bytes"),
        ("silent", "no answer in time|broke off"),
        ("trickle", "too slow: "),
    ],
)
def test_trouble_is_one_sentence_and_the_next_mirror_is_asked(table, way, reason, monkeypatch):
    monkeypatch.setattr(fetch, "PATIENCE", 0.4)
    monkeypatch.setattr(fetch, "SLOWEST", 10_000)
    fetched = table(way)
    sentence = rf"^fetch: set.bin: need it from one of 1 mirror, got none \(http://127.0.0.1:\d+/{way}/: .*({reason})"
    with pytest.raises(DataError, match=sentence):
        fetch.fetch("own")
    assert [path.name for path in fetched.rglob("*") if path.is_file() and path.suffix != ".part"] == []
    assert not (fetched / "own").exists()
    table(way, "good")
    assert (fetch.fetch("own") / "set.bin").read_bytes() == CONTENT


def test_no_server_at_all(table, tmp_path):
    table("good")
    path = tmp_path / "addresses.json"
    path.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", path.read_text()))
    with pytest.raises(DataError, match=r"need it from one of 1 mirror, got none .*: the connection was refused"):
        fetch.fetch("own")


def test_goes_on_after_it_was_killed(table):
    fetched = table("good")
    (fetched / "own.incomplete").mkdir(parents=True)
    (fetched / "own.incomplete" / "set.bin.part").write_bytes(CONTENT[:123_456])
    assert (fetch.fetch("own") / "set.bin").read_bytes() == CONTENT
    assert Server.asked == [("good", "set.bin", 123_456)]


def test_a_part_of_something_else_is_not_gone_on_with_twice(table):
    fetched = table("good")
    (fetched / "own.incomplete").mkdir(parents=True)
    (fetched / "own.incomplete" / "set.bin.part").write_bytes(bytes(1000))
    with pytest.raises(DataError, match="another SHA-256"):
        fetch.fetch("own")
    assert (fetch.fetch("own") / "set.bin").read_bytes() == CONTENT


def test_a_name_that_is_fetched_can_be_opened(table, tmp_path, server, monkeypatch, capsys):
    images, labels = specimens.pictures(channels=1)
    place = tmp_path / "made"
    place.mkdir()
    specimens.idx(place, images, labels)
    Server.files = {path.name: path.read_bytes() for path in place.iterdir()}
    facts = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in Server.files.items()
    }
    (tmp_path / "a.json").write_text(json.dumps({"mnist": {"mirrors": [f"{server}/good/"], "files": facts}}))
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DCGAN_CUPY_ADDRESSES", str(tmp_path / "a.json"))
    with pytest.raises(
        DataError, match=r"need mnist fetched first, got no .* \(python -m dcgan_cupy.data fetch mnist\)"
    ):
        open_dataset("mnist", 32, 1)
    assert main(["fetch", "mnist"]) == 0
    assert "fetched/mnist" in capsys.readouterr().out
    dataset = open_dataset("mnist", 32, 1)
    assert (
        dataset.name == "mnist" and (dataset.images == images).all() and (dataset.attributes["label"] == labels).all()
    )


@pytest.mark.parametrize("name", ["celeba", "lsun", "imagenet"])
def test_sets_that_need_consent_get_instructions(name, capsys):
    assert main(["fetch", name]) == 0
    assert "http" in capsys.readouterr().out
    with pytest.raises(DataError, match=f"fetch {name} tells how to get it"):
        open_dataset(name, 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"mnist": 5}',
        '{"mnist": {"mirrors": [1]}}',
        '{"x": {"mirrors": [], "files": {"a": {"bytes": "n", "sha256": "0"}}}}',
    ],
)
def test_a_table_that_is_none(tmp_path, monkeypatch, text, capsys):
    (tmp_path / "a.json").write_text(text)
    monkeypatch.setenv("DCGAN_CUPY_ADDRESSES", str(tmp_path / "a.json"))
    assert main(["fetch", "mnist"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("fetch: DCGAN_CUPY_ADDRESSES: need a JSON file like ") and err.count("\n") == 1


def test_the_table_of_addresses_is_whole():
    table = fetch.addresses()
    assert set(table) == {"mnist", "fashion-mnist", "cifar10", "svhn"}
    for entry in table.values():
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in entry["mirrors"])
        assert all(len(file["sha256"]) == 64 and file["bytes"] > 0 for file in entry["files"].values())
