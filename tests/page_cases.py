"""A page of export --page taken apart, and its program run by wasmtime as machine.js runs it."""

import base64
import json
import re

import numpy as np

SCRIPT = r'<script[^>]* id="{}">\n?(.*?)</script>'


def part(page: str, name: str) -> str:
    """The text of one of the page's scripts."""
    return re.search(SCRIPT.format(name), page, re.S)[1]


def facts_of(page: str) -> dict:
    """What it reads as JSON."""
    return json.loads(part(page, "facts"))


class Wasm:
    """A page's module, memory and launches, without a browser.   ms_of(z): how long an image takes."""

    def __init__(self, page: str):
        import wasmtime

        self.facts = facts_of(page)
        self.store = wasmtime.Store()
        module = wasmtime.Module(self.store.engine, base64.b64decode(part(page, "module")))
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.memory = self.exports["memory"]
        self.base = -(-self.exports["__heap_base"].value(self.store) // 64) * 64
        missing = self.base + self.facts["arena"] - self.memory.data_len(self.store)
        if missing > 0:
            self.memory.grow(self.store, -(-missing // 65536))
        self._place(base64.b64decode(part(page, "weights")))

    def _place(self, weights: bytes) -> None:
        start = 0
        for at, count, each in self.facts["pieces"]:
            piece = np.frombuffer(weights, {2: "<f2", 4: "<f4"}[each], count, start)
            self.write(at, piece.astype(np.float32))
            start += count * each
        assert start == len(weights)

    def write(self, at: int, values: np.ndarray) -> None:
        self.memory.write(self.store, values.tobytes(), self.base + at)

    def read(self, at: int, count: int) -> np.ndarray:
        start = self.base + at
        return np.frombuffer(self.memory.read(self.store, start, start + 4 * count), np.float32)

    def launch(self, step: list) -> None:
        kernel, *given = step
        types = self.facts["types"][kernel]
        assert len(given) == 6 + len(types)
        pointers = [0 if v is None else self.base + v if t == "p" else v for t, v in zip(types, given[6:])]
        self.exports[kernel](self.store, *given[:6], *pointers)

    def drawn(self, seed: int) -> np.ndarray:
        """The latent vector of a seed."""
        self.write(self.facts["state"]["at"], np.array([seed, self.facts["state"]["stream"], 0], np.uint64))
        for step in self.facts["draw"]:
            self.launch(step)
        return self.read(self.facts["drawn"], self.facts["z"]["count"])

    def run(self, z: np.ndarray, label: int = 0) -> None:
        """All stages."""
        self.write(self.facts["z"]["at"], z.astype(np.float32))
        if self.facts["label"] is not None:
            self.write(self.facts["label"], np.array([label], np.int32))
        for stage in self.facts["stages"]:
            for step in stage["launches"]:
                self.launch(step)

    def made(self, number: int = -1) -> np.ndarray:
        """[h, w, c] of a stage."""
        stage = self.facts["stages"][number]
        return self.read(stage["at"], int(np.prod(stage["shape"]))).reshape(stage["shape"])

    def images(self, z: np.ndarray, labels=None) -> np.ndarray:
        """float32 [n, h, w, c]"""
        made = []
        for i, vector in enumerate(z):
            self.run(vector, 0 if labels is None else int(labels[i]))
            made.append(self.made())
        return np.stack(made)
