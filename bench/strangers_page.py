"""python bench/strangers_page.py RESULTS.tsv …: the verdicts of bench/strangers.py, judged, as tables in the docs.

bench/results/strangers-judged.tsv holds what somebody who read each kernel says: source, path, right | missed | false,
and why. Writes bench/results/strangers.tsv (all rows; of a file that several results hold those of the last),
docs/workbench-strangers.md (the list) and the table in docs/workbench.md. A file that ran and is not judged is an
error.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JUDGED = ROOT / "bench" / "results" / "strangers-judged.tsv"
ROWS = ROOT / "bench" / "results" / "strangers.tsv"
LIST, DOCS = ROOT / "docs" / "workbench-strangers.md", ROOT / "docs" / "workbench.md"
BEGIN, END = "<!-- strangers: made by bench/strangers_page.py -->", "<!-- strangers: end -->"
# Name of a source -> the repository, what of it was tried.
SOURCES = {
    "gpuverify": ("mc-imperial/gpuverify", "testsuite/CUDA, every file"),
    "leetgpu": ("lzyrapx/LeetGPU", "cuda, every file"),
    "byexample": ("CodedK/CUDA-by-Example-source-code-for-the-book-s-examples-", "every file"),
    "course": ("Infatoshi/cuda-course", "every file"),
    "sgemm": ("siboehm/SGEMM_CUDA", "every file"),
    "llmc": ("karpathy/llm.c", "dev/cuda, every file"),
    "packt": ("PacktPublishing/Learn-CUDA-Programming", "40 of 103 files, seed 15"),
    "samples": ("NVIDIA/cuda-samples", "40 of 175 files, seed 15"),
}
COLUMNS = ("tried", "no kernel", "ran", "refused", "crashed", "right", "missed", "false")


def read(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]


def verdict(rows) -> str:
    """Of a file: that of its kernels together."""
    kinds = {row[4] for row in rows}
    word = next(k for k in ("crashed", "found", "clean", "late", "refused", "none") if k in kinds)
    return "refused" if word == "late" else word


def found(rows) -> str:
    """The findings of a file's kernels; why it was refused."""
    said = []
    for _, _, _, kernel, kind, _, sentence in rows:
        findings = sentence.partition(" | ")[0].strip() if kind in ("found", "clean", "late") else ""
        said += [f"{kernel}: {findings}"] if findings else []
    return "; ".join(said)


def refused(rows) -> str:
    """The sentence, without where on this machine the file lay."""
    sentence = re.sub(r"/\S*/", "", rows[0][6]).partition(": choose a smaller")[0]
    return sentence if len(sentence) < 150 else sentence[:147].rpartition(" ")[0] + " …"


def main() -> int:
    if sys.argv[1:]:
        latest: dict[tuple[str, str], list[list[str]]] = {}
        for path in sys.argv[1:]:  # a file that was run again has its last rows
            fresh: dict[tuple[str, str], list[list[str]]] = {}
            for row in read(Path(path)):
                row[6] = re.sub(r"(?<![\w<])/\S*/(?=\S)", "", row[6])  # where on this machine a file lay
                fresh.setdefault((row[0], row[1]), []).append(row)
            latest |= fresh
        ROWS.write_text("".join("\t".join(r) + "\n" for rows in latest.values() for r in rows), encoding="utf-8")
    files: dict[tuple[str, str], list[list[str]]] = {}
    for row in read(ROWS):
        files.setdefault((row[0], row[1]), []).append(row)
    judged = {(s, p): (word, why) for s, p, word, why in read(JUDGED)}
    counts = {name: dict.fromkeys(COLUMNS, 0) for name in SOURCES}
    parts, missing = [], []
    for name, (repository, what) in SOURCES.items():
        mine = {path: rows for (source, path), rows in files.items() if source == name}
        commit = next((rows[0][2] for rows in mine.values()), "")
        parts += [
            f"\n## {repository}, commit {commit}",
            "",
            f"{what}.",
            "",
            "| file | verdict | judged, and why |",
            "|---|---|---|",
        ]
        for path, rows in mine.items():
            word, count = verdict(rows), counts[name]
            count["tried"] += 1
            count[{"none": "no kernel", "clean": "ran", "found": "ran"}.get(word, word)] += 1
            if word in ("clean", "found"):
                if (name, path) not in judged:
                    missing.append(f"{name}\t{path}")
                    continue
                said, why = judged[name, path]
                count[said] += 1
                word += f" ({found(rows)})" if found(rows) else ""
                parts.append(f"| {path} | {word} | {said}: {why} |".replace("_", "\\_"))
            elif word != "none":
                parts.append(f"| {path} | {word} | {refused(rows)} |".replace("_", "\\_").replace("*", "\\*"))
    if missing:
        print("not judged:", *missing, sep="\n")
        return 1
    total = {c: sum(counts[n][c] for n in counts) for c in COLUMNS}
    table = ["| source | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, count in [*counts.items(), ("all", total)]:
        label = SOURCES[name][0] if name in SOURCES else name
        table.append(f"| {label} | " + " | ".join(str(count[c]) for c in COLUMNS) + " |")
    with_kernel = total["tried"] - total["no kernel"]
    table += [
        "",
        f"Accepted {total['ran']} of {with_kernel} files that hold a kernel, {total['ran'] / with_kernel:.1%}; "
        f"verdict right for {total['right']} of {total['ran']}, {total['right'] / max(1, total['ran']):.1%}.",
    ]
    LIST.write_text(
        LIST.read_text(encoding="utf-8").partition("\n## ")[0].rstrip() + "\n" + "\n".join(parts) + "\n",
        encoding="utf-8",
    )
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    DOCS.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n" + END + rest.partition(END)[2], encoding="utf-8")
    print("\n".join(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
