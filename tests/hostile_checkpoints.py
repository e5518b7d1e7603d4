"""Checkpoints that are damaged, foreign or made to do harm: what the tests of them, and their fuzzing, share.

A case is a function that changes one good checkpoint's folder. Run as a script, it tries all of them under a limit of
memory: python hostile_checkpoints.py FOLDER MIB, a folder with good/ and room for work/.
"""

import hashlib
import json
import os
import random
import resource
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from dcgan_cupy.errors import UserError
from dcgan_cupy.runs import checkpoint, model, resume

STATE, FACTS, MANIFEST = FILES = checkpoint.STATE, checkpoint.FACTS, checkpoint.MANIFEST
LONGEST = 600  # characters of a sentence, a path of some 100 among them


def taken(path: Path) -> dict:
    """The arrays of a checkpoint that a run goes on from, by every check that train --resume makes.

    Raises: UserError.
    """
    saved = resume.find(str(path), None, lambda note: None)
    config = resume.settings(saved, {}).resolved("cpu")
    resume.log_length(saved)
    return resume.read(saved, config, "cpu")


def sampled(path: Path) -> dict:
    """The networks that sample, walk and export find in it.   Raises: UserError."""
    return model.read("sample: RUN", str(path)).networks


def sentence(error: UserError) -> str:
    """The text of a refusal: one line, not long."""
    text = str(error)
    assert "\n" not in text and len(text) < LONGEST and ": need " in text, text[:2000]
    return text


def resum(folder: Path) -> None:
    """The manifest as a writer of just these files would make it: whoever means harm can do sums."""
    contents = {name: (folder / name).read_bytes() for name in (FACTS, STATE)}
    sums = {name: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for name, c in contents.items()}
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "files": sums}))


def truncated(name: str, share: float, right: bool):
    def change(folder):
        size = (folder / name).stat().st_size
        os.truncate(folder / name, int(share) if share > 1 else min(size - 2, int(share * size)))
        if right:
            resum(folder)

    return change


def flipped(name: str, bit: float, right: bool = False):
    """bit: its place as a share of all bits, or from 1 on its number."""

    def change(folder):
        content = bytearray((folder / name).read_bytes())
        number = int(bit) if bit >= 1 else int(bit * 8 * len(content))
        content[number // 8] ^= 1 << number % 8
        (folder / name).write_bytes(content)
        if right:
            resum(folder)

    return change


def header(change_header, data=lambda data: data, length=lambda n: n):
    """A safetensors file with another header, and right sums.   change_header(header) -> a dict or bytes."""

    def change(folder):
        content = (folder / STATE).read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        made = change_header(json.loads(content[8 : 8 + size]))
        text = made if isinstance(made, bytes) else json.dumps(made).encode()
        (folder / STATE).write_bytes(struct.pack("<Q", length(len(text)) % 2**64) + text + data(content[8 + size :]))
        resum(folder)

    return change


def entry(**values):
    """The same with one tensor's entry changed."""
    return header(lambda h: {n: {**e, **values} if n == "discriminator.disc.0.weight" else e for n, e in h.items()})


def renamed(name: str):
    """The first tensor by another name."""
    return header(lambda h: {(name if i == 0 else n): e for i, (n, e) in enumerate(h.items())})


def doubled(h: dict) -> bytes:
    first = next(iter(h))
    other = {**h[first], "data_offsets": [0, 4], "shape": [1]}
    return json.dumps(h).encode()[:-1] + f", {json.dumps(first)}: {json.dumps(other)}".encode() + b"}"


def arrays(change_arrays):
    """Other arrays, in a right file with right sums."""

    def change(folder):
        (folder / STATE).write_bytes(save(change_arrays(load((folder / STATE).read_bytes()))))
        resum(folder)

    return change


def array(name: str, value):
    return arrays(lambda state: {**state, name: value(state[name].copy())})


def put(value, at: int = 0):
    def change(a):
        a.reshape(-1)[at] = value
        return a

    return change


def facts(change_facts, name: str = FACTS):
    """Another state.json with right sums, or (name) another manifest."""

    def change(folder):
        made = change_facts(json.loads((folder / name).read_bytes()))
        (folder / name).write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
        if name == FACTS:
            resum(folder)

    return change


def settings(**values):
    return facts(lambda f: {**f, "settings": {**f["settings"], **values}})


def manifest(change_manifest):
    return facts(change_manifest, MANIFEST)


def files(names: dict):
    """The manifest with other names of files.   names: name -> the one whose entry it gets."""
    return manifest(
        lambda m: {**m, "files": {FACTS: m["files"][FACTS], **{n: m["files"][o] for n, o in names.items()}}}
    )


def entry_of(**values):
    """The manifest with another entry for state.safetensors."""
    return manifest(lambda m: {**m, "files": {**m["files"], STATE: {**m["files"][STATE], **values}}})


def linked(name: str, to: str):
    def change(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(to)

    return change


def instead(name: str, make):
    def change(folder):
        (folder / name).unlink()
        make(folder / name)

    return change


def sparse(folder):
    """A terabyte of holes, and a manifest that says so."""
    os.truncate(folder / STATE, 1 << 40)
    entry_of(bytes=1 << 40)(folder)


DEEP = b"[" * 200_000 + b"]" * 200_000
CASES = {
    **{f"{name} cut to {share:g}{' with right sums' * right}": truncated(name, share, right)
       for name in FILES for right in ((False, True) if name != MANIFEST else (False,))
       for share in (0, 0.001, 7, 8, 9, 0.1, 0.3, 0.5, 0.7, 0.9, 1)},
    **{f"{name} bit {bit:.4f}": flipped(name, bit) for name in FILES for bit in np.linspace(0.0005, 0.9995, 20)},
    **{f"{STATE} bit {bit} of the length": flipped(STATE, bit, True) for bit in (1, 3, 9, 17, 31, 40, 62, 63)},
    **{f"{STATE} bit {bit} of the header": flipped(STATE, bit, True) for bit in range(65, 3000, 131)},
    "no tensors": header(lambda h: {}),
    "header of a gigabyte": header(lambda h: h, length=lambda n: 1 << 30),
    "header of 2^63": header(lambda h: h, length=lambda n: 1 << 63),
    "header of 2^64 - 1": header(lambda h: h, length=lambda n: -1),
    "header of 0": header(lambda h: h, length=lambda n: 0),
    "header longer than the file": header(lambda h: h, length=lambda n: n + (1 << 24)),
    "header shorter than it is": header(lambda h: h, length=lambda n: n - 1),
    "header is a list": header(lambda h: b"[]"),
    "header is a number": header(lambda h: b"1"),
    "header is no UTF-8": header(lambda h: b"\xff\xfe{}"),
    "header is deep": header(lambda h: b'{"a":' + DEEP + b"}"),
    "header has NaN": header(lambda h: b'{"a": NaN}'),
    "huge shape": entry(shape=[2**31, 2**31]),
    "shape past 2^64": entry(shape=[2**63, 4]),
    "negative shape": entry(shape=[-1, 3, 4, 4]),
    "shape of text": entry(shape="all"),
    "no shape": entry(shape=[]),
    "shape with 0": entry(shape=[0]),
    "shape of many axes": entry(shape=[1] * 10000),
    "other shape, as many numbers": entry(shape=[96]),
    "wrong dtype of the same size": entry(dtype="I32"),
    "wrong dtype": entry(dtype="F64"),
    "unknown dtype": entry(dtype="OBJECT"),
    "dtype of 8 bits": entry(dtype="F8_E4M3"),
    "bfloat16": entry(dtype="BF16"),
    "offsets beyond the end": entry(data_offsets=[0, 1 << 40]),
    "offsets backwards": entry(data_offsets=[100, 4]),
    "negative offsets": entry(data_offsets=[-8, 4]),
    "offsets past 2^64": entry(data_offsets=[2**64, 2**64 + 4]),
    "offsets of text": entry(data_offsets=["0", "4"]),
    "offsets are one": entry(data_offsets=[0]),
    "all overlap": header(lambda h: {n: {**e, "data_offsets": [0, 384]} for n, e in h.items()}),
    "a hole in the data": header(lambda h: h, lambda d: d + bytes(64)),
    "no data": header(lambda h: h, lambda d: b""),
    "a name twice": header(doubled),
    "a name that climbs": renamed("../../escaped"),
    "an absolute name": renamed("/tmp/escaped"),
    "a name of a megabyte": renamed("n" * 2**20),
    "a name with escapes": renamed("\x1b[2J\n\0"),
    "an empty name": arrays(lambda s: {**s, "": np.zeros(1, np.float32)}),
    "one array more": arrays(lambda s: {**s, "more": np.zeros(1, np.float32)}),
    "one array missing": arrays(lambda s: dict(list(s.items())[1:])),
    "20,000 arrays more": arrays(lambda s: {**s, **{f"a{i}": np.zeros(1, np.float32) for i in range(20_000)}}),
    "not a number": array("generator.gen.0.0.weight", put(np.nan)),
    "infinite": array("discriminator.adam.m.disc.0.weight", put(-np.inf)),
    "a variance below 0": array("generator.gen.0.1.running_var", put(-1)),
    "a second moment below 0": array("discriminator.adam.v.disc.0.weight", put(-1e-9)),
    "random numbers of float": array("random.z", lambda a: a.astype(np.float32)),
    "Adam's state not finite": array("generator.adam.state", put(np.nan, -1)),
    "state.json is a list": facts(lambda f: []),
    "state.json is deep": facts(lambda f: DEEP),
    "state.json is no UTF-8": facts(lambda f: b"\xff\xfe\xfd"),
    "state.json of two megabytes": facts(lambda f: {**f, "more": "x" * (2 << 20)}),
    "state.json with a number of 10,000 digits": facts(
        lambda f: json.dumps(f).encode()[:-1] + b', "n": ' + b"9" * 10000 + b"}"),
    "another format": facts(lambda f: {**f, "format": 2}),
    "a format of a megabyte": facts(lambda f: {**f, "format": "x" * 1_000_000}),
    "no step": facts(lambda f: {n: v for n, v in f.items() if n != "step"}),
    "another step than its folder": facts(lambda f: {**f, "step": 2}),
    "a step below 0": facts(lambda f: {**f, "step": -3}),
    "a step of 2^70": facts(lambda f: {**f, "step": 2**70}),
    "a step of text": facts(lambda f: {**f, "step": "3" * 100_000}),
    "no length of the log": facts(lambda f: {n: v for n, v in f.items() if n != "log_bytes"}),
    "a log below 0": facts(lambda f: {**f, "log_bytes": -1}),
    "a log's length of text": facts(lambda f: {**f, "log_bytes": "9" * 100_000}),
    "no settings": facts(lambda f: {**f, "settings": None}),
    "unknown settings": settings(shell="touch harmed"),
    "settings of another type": settings(batch_size="many"),
    "a setting of a megabyte": settings(batch_size="8" * 900_000),
    "a setting that is a tree": settings(image_size={"a": [1] * 1000}),
    "a size of 4,000 digits": settings(image_size=10**4000),
    "a batch of 10^4000": settings(batch_size=10**4000),
    "a learning rate of NaN": settings(lr=float("nan")),
    "fewer steps than done": settings(steps=1),
    "an import's freedom": facts(lambda f: {
        **f, "imported": {"fixed": ["batch_size"], "from": []}, "settings": {**f["settings"], "features_g": 3}}),
    "another image size": settings(image_size=32),
    "a rectangle": settings(image_size="16x24"),
    "other features": settings(features_g=3),
    "features for all the memory": settings(features_g=65535, features_d=65535, image_size=512),
    "the other network": settings(network="example"),
    "an average": settings(ema=0.5),
    "classes": settings(conditional=True, n_classes=3),
    "colours": settings(channels=1),
    "another z": settings(z_dim=65535),
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
    "no state.json": lambda folder: (folder / FACTS).unlink(),
    "no arrays": lambda folder: (folder / STATE).unlink(),
    "manifest is a number": manifest(lambda m: 3),
    "manifest of another format": manifest(lambda m: {**m, "format": "1"}),
    "manifest is deep": manifest(lambda m: DEEP),
    "manifest of a format of a megabyte": manifest(lambda m: {**m, "format": "x" * 1_000_000}),
    "manifest without files": manifest(lambda m: {"format": 1}),
    "manifest with a file that climbs": files({"../../escaped": STATE, STATE: STATE}),
    "manifest with a climbing name instead": files({f"../000003/{STATE}": STATE}),
    "manifest with an absolute name": files({"/etc/passwd": STATE}),
    "manifest with a list of files": manifest(lambda m: {**m, "files": [FACTS, STATE]}),
    "manifest whose entry is a text": manifest(lambda m: {**m, "files": {**m["files"], STATE: "x" * 900_000}}),
    "a wrong sum": entry_of(sha256="0" * 64),
    "a sum of null": entry_of(sha256=None),
    "a sum in capitals": manifest(lambda m: {
        **m, "files": {n: {**e, "sha256": e["sha256"].upper()} for n, e in m["files"].items()}}),
    "a size of text": entry_of(bytes="9" * 900_000),
    "a size below 0": entry_of(bytes=-1),
    "a size of 10^4000": entry_of(bytes=10**4000),
    "a size that is true": entry_of(bytes=True),
    "a terabyte of holes": sparse,
    "arrays are a link to a file": linked(STATE, "/etc/passwd"),
    "arrays are a link to another checkpoint's": linked(STATE, f"../000002/{STATE}"),
    "state.json is a link": linked(FACTS, "/etc/passwd"),
    "manifest is a link": linked(MANIFEST, "/dev/zero"),
    "arrays are a pipe": instead(STATE, os.mkfifo),
    "manifest is a pipe": instead(MANIFEST, os.mkfifo),
    "arrays are a folder": instead(STATE, Path.mkdir),
    "manifest is a folder": instead(MANIFEST, Path.mkdir),
}  # fmt: skip


def mutated(draw: random.Random):
    """A random change of one or several places of one file; and whether its sums are made right."""
    name, right = draw.choice(FILES), draw.random() < 0.6

    def change(folder):
        content = bytearray((folder / name).read_bytes())
        for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
            near = min(len(content), 8 + struct.unpack("<Q", content[:8].ljust(8, b"\0"))[0] % 2**20)
            at = draw.randrange(near if name == STATE and draw.random() < 0.8 else max(1, len(content)))
            how = draw.random()
            if how < 0.5 and at < len(content):
                content[at] = draw.choice((content[at] ^ 1 << draw.randrange(8), draw.randrange(256), 0, 255))
            elif how < 0.65:
                del content[at : at + draw.choice((1, 2, 7, 64, len(content)))]
            elif how < 0.8:
                content[at:at] = draw.choice(
                    (draw.randbytes(draw.randrange(1, 9)), b"9" * draw.choice((1, 5, 20, 5000)), b"-", b"[" * 3000,
                     b'"', b"1e999", b"NaN", b"null", b'{"a":', content[at : at + draw.randrange(1, 99)])
                )  # fmt: skip
            else:
                numbers = [i for i in range(at, min(at + 200, len(content))) if 48 <= content[i] < 58]
                for i in numbers[: draw.randrange(1, 6)]:
                    content[i] = draw.randrange(48, 58)
        (folder / name).write_bytes(content)
        if right and name != MANIFEST:
            resum(folder)

    return change, right and name == STATE


def attempt(change, good: Path, work: Path, run=taken):
    """What run gives for a changed copy of a run's newest checkpoint; a UserError where it refuses."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(good, work)
    newest = work / "checkpoints" / "000003"
    change(newest)
    try:
        return run(newest)
    except UserError as error:
        sentence(error)
        return error


def main(folder: Path, mib: int) -> None:
    """Tries every case, by train's and by sample's way, and prints how many were refused and how memory grew."""
    good, work = folder / "good", folder / "work"
    for run in (taken, sampled):
        run(good / "checkpoints" / "000003")  # libraries are loaded
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_AS, (now + (mib << 20), resource.RLIM_INFINITY))
    refused = [name for name, change in CASES.items() if isinstance(attempt(change, good, work), UserError)]
    for change in CASES.values():
        attempt(change, good, work, sampled)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"refused": len(refused), "grown_mib": (after - before) / 1024}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
