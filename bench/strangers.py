"""python bench/strangers.py NAME=FOLDER …: every .cu of some folders through the workbench, as published.

NAME=FOLDER@COMMIT#30 takes a sample of 30, drawn by --seed.
A file's line `//--blockDim=… --gridDim=…` (GPUVerify's) gives block and grid (a block of more threads than
a GPU can launch is halved until it can), its __requires(…) parameters; else the host code tells them.
One process a file, so that a crash is a verdict.
Columns: source, path, commit, kernel, verdict, seconds, sentence.
Verdict: clean, found, late (it had not ended in time), refused (a sentence), crashed, none (no kernel in the file).
Warnings (race:7?) are no findings.
"""

import argparse
import concurrent.futures
import json
import math
import operator
import random
import re
import subprocess
import sys
import time
from pathlib import Path

# GPUVerify's own language of specifications, which is no CUDA: left blank.
ANNOTATION = re.compile(
    r"\b(__(?:requires|requires_fresh_array|ensures|invariant|global_invariant|assert|assume|axiom|function_wide_invariant"
    r"|function_wide_candidate_invariant|candidate_invariant|at_most_one|distinct_int|same_for_group|array_snapshot"
    r"|no_read|no_write|read_implies|write_implies))\s*\("
)


# Without CuPy: NVRTC would count registers, which takes seconds.
INSPECT = """import sys; sys.modules["cupy"] = None
from dcgan_cupy.workbench.command import main; sys.exit(main())"""


def dims(text: str) -> str:
    """GPUVerify's [4,2] as 4,2."""
    return text.strip("[]{}() ").replace(" ", "")


HOLDS = {"==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
LIKELY = (1, 2, 3, 5, 7, 12, 33, 64, 100, 1000)


def asked(text: str) -> list[str]:
    """name=value for each parameter of the only kernel of which __requires(…) asks something: the first that holds.

    So `n == 64`, `f == divideByTwo`, `i != 0 & i < LIMIT`, `a != b`.
    """
    plain = re.sub(r"//[^\n]*", "", text)
    kernels = re.findall(r"__global__[^;{]*?\bvoid\b[^;{(]*\(([^{;]*)\)\s*\{", plain)
    if len(kernels) != 1:
        return []
    names = {m[1] for part in kernels[0].split(",") if (m := re.search(r"(\w+)\s*(?:\[\d*\])?\s*$", part))}
    macros = dict(re.findall(r"--(blockDim)=(\d+)", text)) | dict(
        re.findall(r"#\s*define\s+(\w+)\s+(.+)", plain) + re.findall(r"-D(\w+)=(\S+)", text)
    )
    rules: dict[str, list[tuple[str, str]]] = {}
    for inside in re.findall(r"__requires\(([^;]*)\)\s*;", plain):
        for part in re.split(r"&+", inside):
            part = part.replace("blockDim.x", "blockDim")
            rule = re.match(r"[\s(]*(\w+)\s*(==|!=|>=|<=|<|>)\s*(\w+|\(\d+ << \d+\))\s*\)*\s*(?:\|.*)?$", part)
            if rule and rule[1] in names:
                rules.setdefault(rule[1], []).append((rule[2], rule[3]))
    found: dict[str, int | str] = {}
    for name, wanted in rules.items():
        values = [(sign, found.get(value, _whole(value, macros))) for sign, value in wanted]
        numbers = [(sign, v) for sign, v in values if isinstance(v, int)]
        if named := [value for sign, value in wanted if sign == "==" and re.search(rf"\b{value}\s*\([^;]*\{{", plain)]:
            found[name] = named[0]
        elif numbers:
            near = [v + d for _, v in numbers for d in (0, 1, -1)]
            fits = (v for v in (*LIKELY, *near) if all(HOLDS[sign](v, n) for sign, n in numbers))
            found[name] = next(fits, near[0])
        elif name not in found:
            found[name] = LIKELY[len(found) % len(LIKELY)]
    return [f"{name}={value}" for name, value in found.items()]


def _whole(text: str, macros: dict[str, str]) -> int | None:
    """A number, or one that a macro stands for; None for another name."""
    text = macros.get(text, text).strip("() ")
    if shift := re.fullmatch(r"(\d+) << (\d+)", text):
        return int(shift[1]) << int(shift[2])
    return int(text) if text.isdecimal() else None


def launchable(threads: str) -> str:
    """A block's sizes, the longest one halved until a GPU could launch it: at most 1024 threads."""
    sizes = [int(v) for v in threads.split(",")]
    while math.prod(sizes) > 1024:
        at = sizes.index(max(sizes))
        sizes[at] //= 2
    return ",".join(map(str, sizes))


def command(path: Path, seconds: float) -> list[str]:
    """The command line for one file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    made = [sys.executable, "-c", INSPECT, str(path), "--launch", "--json", "--seconds", str(seconds)]
    for option, name in (("--block", "blockDim"), ("--grid", "gridDim")):
        if match := re.search(rf"--{name}=(\[[^\]]*\]|\d+)", text):
            sizes = dims(match[1])
            made += [option, launchable(sizes) if name == "blockDim" else sizes]
    for name, equals, value in re.findall(r"(?m)^//.*?-D(\w+)(=?)(\S*)", text):
        made += ["--macro", f"{name}={value}" if equals else name]
    for name in asked(text):
        made += ["--arg", name]
    for name in sorted(set(ANNOTATION.findall(text))):
        made += ["--macro", f"{name}(...)=" + ("" if name == "__axiom" else "1")]
    return made


def verdict(path: Path, seconds: float) -> list[tuple[str, str, float, str]]:
    """(kernel, verdict, seconds, sentence) for each kernel that ran, or one row that says why none did."""
    start = time.monotonic()
    try:
        done = subprocess.run(
            command(path, seconds), capture_output=True, timeout=120 * seconds + 600, check=False, cwd=path.parent
        )
    except subprocess.TimeoutExpired:
        return [("", "crashed", time.monotonic() - start, "did not end")]
    took, err = time.monotonic() - start, done.stderr.decode(errors="replace").strip()
    if done.returncode < 0 or "Traceback" in err:
        return [("", "crashed", took, f"{done.returncode}: {err.splitlines()[-1] if err else ''}")]
    try:
        data = json.loads(done.stdout)
    except ValueError:
        last = err.splitlines()[-1] if err else done.stdout.decode(errors="replace")[-200:]
        none = "no kernel in this file" in last
        return [("", "none" if none else "refused" if done.returncode in (2, 3) else "crashed", took, last)]
    rows = []
    for launch in data["costs"]:
        mine = [f for f in data["findings"] if f["kernel"] == launch["kernel"]]
        kinds = sorted({f"{f['kind']}:{f['line']}" + "?" * (f["severity"] != "error") for f in mine})
        left = "; ".join(n for n in launch["notes"] if n.startswith("left out"))
        late = [f for f in mine if "has not ended within" in f["message"]]  # no verdict, but no fault of the kernel's
        errors = any(f["severity"] == "error" for f in mine if f not in late)
        kind = "found" if errors else "late" if late else "clean"
        rows.append((launch["kernel"], kind, took, " ".join(kinds) + (" | " + left if left else "")))
    return rows


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folders", nargs="+", metavar="NAME=FOLDER[@COMMIT][#COUNT]")
    p.add_argument("--out", default="strangers.tsv")
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--only", default="", metavar="PATTERN", help="the files whose path holds it, to run them again")
    p.add_argument("--seed", type=int, default=15, help="of the sample that #COUNT draws from a folder")
    options = p.parse_args()
    todo = []
    for text in options.folders:
        name, folder, commit, count = re.fullmatch(r"([^=]*)=([^@#]*)(?:@([^#]*))?(?:#(\d+))?", text).groups(default="")
        paths = sorted(Path(folder).rglob("*.cu"))
        if count:
            paths = sorted(random.Random(options.seed).sample(paths, min(int(count), len(paths))))
        todo += [(name, Path(folder), commit, path) for path in paths if re.search(options.only, str(path))]
    table: dict[str, dict[str, int]] = {}
    with open(options.out, "w", encoding="utf-8") as out, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for (name, folder, commit, path), rows in zip(todo, pool.map(lambda t: verdict(t[3], options.seconds), todo)):
            counts = table.setdefault(name, dict.fromkeys(("tried", "ran", "found", "refused", "crashed", "none"), 0))
            kinds = {row[1] for row in rows}
            counts["tried"] += 1
            counts["ran"] += bool(kinds & {"clean", "found"})
            for kind in ("found", "refused", "crashed", "none"):
                counts[kind] += kind in kinds
            for kernel, kind, took, sentence in rows:
                sentence = re.sub(r"\s+", " ", sentence)
                row = (name, str(path.relative_to(folder)), commit, kernel, kind, f"{took:.1f}", sentence)
                out.write("\t".join(row) + "\n")
            out.flush()
    names = ("tried", "ran", "found", "refused", "crashed", "none")
    print("source".ljust(20), *(n.rjust(8) for n in names))
    for name, c in table.items():
        print(name.ljust(20), *(str(c[n]).rjust(8) for n in names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
