"""A finding's numbers as names and sentences."""

from dataclasses import dataclass

import numpy as np

KINDS = ("out-of-bounds", "misaligned", "uninitialised", "race", "read-only", "division", "barrier")
SPACES = ("global", "shared", "local")
LESSONS = {
    "out-of-bounds": "the memory there belongs to something else; on a GPU this stops the program or, worse, does not",
    "misaligned": (
        "a GPU moves {size} bytes at once only from an address that is a multiple of {size}, and stops otherwise"
    ),
    "uninitialised": "what is read is whatever lay there before",
    "read-only": "a kernel may not write __constant__ memory: the host fills it before the launch",
    "division": "a CPU would stop here; a GPU goes on with a number that means nothing",
}
VERBS = {"read": "reads", "write": "writes", "atomic": "atomically changes", "divide": "divides"}


@dataclass
class Place:
    """An array, as a finding names its elements: a parameter's, or a variable of the device."""

    name: str
    dims: list
    item: int  # bytes of an element
    low: int  # its address
    size: int  # bytes
    word: str = ""  # __device__ or __constant__

    @property
    def shape(self) -> tuple:
        return tuple(self.dims)


class Words:
    """Turns the numbers of a launch into names."""

    def __init__(self, kernel, tables, arrays):
        self.kernel, self.tables, self.arrays = kernel, tables, arrays

    def array(self, number: int, space: int) -> Place | None:
        """The array that a finding is about; None where the launch has none."""
        if space == 2:
            row = self.kernel.tables["locals"][number]
            word = "local " if row["local"] else ""
            return Place(row["name"], row["dims"], row["item"] or row["size"], 0, row["size"], word)
        if space == 1:
            s, row = self.kernel.shared[number], self.tables["shared"][number]
            size = int(row["high"] - row["low"])
            dims = [size // 4] if s["dynamic"] else s["dims"]
            count = int(np.prod(dims, dtype=np.int64)) if dims else 1
            item = 4 if s["dynamic"] else s["item"] or size // max(1, count)
            return Place(s["name"], dims, item, int(row["low"]), size, "__shared__ ")
        return self.arrays[number] if self.arrays else None

    def makes_sense(self, f) -> bool:
        """Whether a finding's numbers are those of something."""
        if f["kind"] >= len(KINDS) or f["space"] >= len(SPACES):
            return False
        if KINDS[f["kind"]] == "barrier":
            blocks, pair = self.kernel.blocks, (int(f["promised"]), int(f["warp"]))
            if f["array"] >= len(self.tables.struct.barrier_lines) or max(pair) >= len(blocks):
                return False
            copies = not f["size"]  # of one line in the compiled text: one after the other only if a loop was unrolled
            return not copies or pair[1] in blocks[pair[0]]["later"] or pair[0] in blocks[pair[1]]["later"]
        there = (max(1, len(self.arrays)), max(1, len(self.kernel.shared)), max(1, len(self.kernel.tables["locals"])))
        count = len(self.kernel.sites)
        return bool(f["site"] < count and f["other"] < count and f["array"] < there[f["space"]])

    def element(self, array: Place, address: int) -> str:
        """x[1, 0, 5], or how far outside: x[1024]."""
        at = address - array.low
        if 0 <= at < array.size and len(array.dims) > 1:
            index = np.unravel_index(at // array.item, array.dims)
            return f"{array.name}[{', '.join(str(int(i)) for i in index)}]"
        return f"{array.name}[{at // array.item}]" if array.dims else array.name

    def say(self, f) -> dict:
        """The parts of a finding: kind, severity, lines, place, sentence."""
        kind, space, size = KINDS[f["kind"]], int(f["space"]), int(f["size"])
        if kind == "barrier":
            return self._rounds(f)
        site, other = self.kernel.sites[f["site"]], self.kernel.sites[f["other"]]
        address = int(f["address"])
        address -= (1 << 64) if space == 2 and address >> 63 else 0
        array = self.array(f["array"], space) if kind != "division" else None
        place = self.element(array, address) if array else f"address 0x{address:x}"
        verb = VERBS["write" if f["write"] and site["kind"] == "read" else site["kind"]]
        who = f"thread {_triple(f['thread'])} of block {_triple(f['block'])}"
        said = {"place": place if kind != "division" else "", "severity": "error", "other": (None, None)}
        if kind == "out-of-bounds":
            text = f"{who} {verb} {self._astray(array, place, address, space, size)}: {LESSONS[kind]}"
        elif kind == "misaligned":
            size = min(size, site["align"] or size)
            off = f"an address {address % size} bytes off a multiple of {size}"
            text = f"{who} {verb} {size} bytes at {place}, {off}: {LESSONS[kind].format(size=size)}"
        elif kind == "uninitialised":
            text = f"{who} {verb} {place} in {SPACES[space]} memory, but {self._why(f, space, array)}: {LESSONS[kind]}"
        elif kind == "read-only":
            text = f"{who} {verb} {place}: {LESSONS[kind]}"
        elif kind == "division":
            text = f"{who} divides a whole number by zero: {LESSONS[kind]}"
        else:
            text = self._race(f, site, other, who, verb, place, said)
        if kind == "out-of-bounds" and array and array.name in self.kernel.inside and address < array.low:
            said["severity"] = "warning"
            text += "; but the host's pointer may go into the middle of an array: what lies before it is not known here"
        if made_up := self._made_up(kind, site, other):
            said["severity"] = "warning"
            text += (
                f"; it rests on the values of {made_up}, which are made up: --arg {made_up}=@file.npy gives true ones"
            )
        file, line, _ = site["frames"][0]
        return {**said, "kind": kind, "file": file, "line": line, "frames": site["frames"], "text": text}

    def _made_up(self, kind, site, other) -> str:
        """The array whose values nobody gave and on which a finding rests."""
        if kind not in ("out-of-bounds", "misaligned", "race", "division"):
            return ""
        behind = [*site["loaded"], *(other["loaded"] if kind == "race" else site["changed"])]
        return next((name for name in behind if name in self.kernel.made_up), "")

    @staticmethod
    def _why(f, space, array):
        if f["promised"] == 2:
            return "cp.async was asked to fill it, but its wait has not come yet"
        if space == 1:
            return "no thread of the block has written it"
        return "the thread has not written it" if space == 2 else "nothing has written it"

    def _race(self, f, site, other, who, verb, place, said) -> str:
        file = site["frames"][0][0]
        other_file, other_line, _ = other["frames"][0]
        said["other"] = (other_file, other_line)
        before = VERBS["atomic"] if other["kind"] == "atomic" else "writes" if f["other_write"] else "reads"
        block, other_block, other_thread = (_triple(f[n]) for n in ("block", "other_block", "other_thread"))
        at = f"line {other_line}" + (f" of {other_file}" if other_file != file else "")
        where = SPACES[f["space"]]
        if other_block == block:
            missing = "no __syncthreads(), __syncwarp() or collective" if f["warp"] else "no __syncthreads()"
            between = f"{missing} between them"
            text = (
                f"{who} {verb} {place} in {where} memory, and thread {other_thread} of the same block {before} it at"
                f" {at}, with {between}: which comes first is chance"
            )
        else:
            text = (
                f"{who} {verb} {place} in {where} memory, and thread {other_thread} of block {other_block} {before} it"
                f" at {at}; blocks run in any order, and only atomics are safe between them, so which comes first is"
                " chance"
            )
        if f["same"] and f["same"] == f["count"]:
            said["severity"] = "warning"
            return text.replace(
                "which comes first is chance", "both write the same value, so it does no harm that is known of"
            )
        if (site["seed"] and other["kind"] == "atomic") or (other["seed"] and site["kind"] == "atomic"):
            said["severity"] = "warning"
            return (
                text
                + "; it only seeds a compare-and-swap, which tries again if it was too old, as in the programming guide"
            )
        return text

    def _rounds(self, f) -> dict:
        """A barrier at which threads meet in different rounds of a loop."""
        struct = self.tables.struct
        file = bytes(struct.barrier_files[f["array"]]).split(b"\0")[0].decode("utf-8", "backslashreplace")
        line = int(struct.barrier_lines[f["array"]])
        parted = self.branch(int(f["parted"]))
        mine, its = int(f["address"]), int(f["size"])
        rounds = f"in round {mine} of the loop around it" if its else "in one round of a loop, or by one call"
        text = (
            f"thread {_triple(f['thread'])} of block {_triple(f['block'])} comes to this barrier {rounds}, and thread"
            f" {_triple(f['other_thread'])} {f'in round {its}' if its else 'in another'}: they meet by chance"
            f"{self.parted(parted, file)}; a barrier wants all threads of the block at once, or none"
        )
        return {
            "kind": "barrier",
            "severity": "error",
            "place": "",
            "other": (None, None),
            "parted": parted,
            "file": file,
            "line": line,
            "frames": [[file, line, self.kernel.symbol]],
            "text": text,
        }

    def branch(self, number: int):
        """(file, line) of the branch at which two threads parted, or None."""
        if number >= len(self.kernel.blocks):
            return None
        block = self.kernel.blocks[number]
        at = block["line"] if block["line"][1] else block["first"]
        return tuple(at) if at[1] else None

    @staticmethod
    def parted(at, file: str) -> str:
        """, parted by the branch at line 7."""
        if at is None:
            return ""
        return f", parted by the branch at line {at[1]}" + (f" of {at[0]}" if at[0] != file else "")

    def _astray(self, array, place, address, space, size):
        if space == 0 and address < 1 << 20:
            return f"{size} bytes through a null pointer (offset {address})"
        if array is None:
            return f"{size} bytes at {place}, but the launch has no array"
        past = (
            f"{array.low - address} bytes before its start"
            if address < array.low
            else f"{address - array.low - array.size} bytes past its end"
        )
        if array.low <= address < array.low + array.size:
            past = "the last bytes of it past its end"
        count = array.size // array.item
        shape = f"{count} element{'s' * (count != 1)}" + (f", {array.dims}" if len(array.dims) > 1 else "")
        word = array.word if array.word.endswith(" ") or not array.word else array.word + " "
        return f"{place}, {past} ({word}{array.name} has {shape})"

    def pattern(self, p, site):
        """The request kept for a site:

        Block, warp, and where each lane goes, as (array, byte offset), None where it takes no part.
        """
        if not p["mask"]:
            return None
        there = [
            (self.kernel.shared[n]["name"], row)
            for n, row in enumerate(self.tables["shared"][: len(self.kernel.shared)])
        ]
        there += [(a.name, self.tables["arrays"][n]) for n, a in enumerate(self.arrays)]
        lanes, names = [], []
        for lane in range(32):
            if not int(p["mask"]) >> lane & 1:
                lanes.append(None)
                continue
            a = int(p["address"][lane])
            found = None
            for name, row in there:
                if int(row["low"]) <= a < int(row["high"]):
                    found = (name, a - int(row["low"]))
            lanes.append(found and found[1])
            if found and found[0] not in names:
                names.append(found[0])
        return {
            "block": int(p["block"]),
            "warp": int(p["warp"]),
            "array": ", ".join(names),
            "size": site["size"],
            "lanes": lanes,
        }


def _triple(row) -> tuple:
    return tuple(map(int, row))
