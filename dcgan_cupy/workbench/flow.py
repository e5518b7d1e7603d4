"""The control flow of compiled functions: basic blocks, the loops around each, what each computes."""

import re
from dataclasses import dataclass, field

from .ir import frames_of

FLOP = re.compile(r"= (?:tail |notail |musttail )?(f(?:add|sub|mul|div|rem)|call)\b([^@\n]*)(?:@([\w.]+))?")
MATHEMATICS = re.compile(
    r"(?:llvm\.)?(fmuladd|fma|sqrt|exp2?|log(?:2|10|1p)?|expm1|tanh|sin|cos|tan|pow|rint|atan2?|erf)f?(?:\.|$)"
)


@dataclass
class Block:
    """A basic block: its innermost loop (the number of the loop's first block, -1: none), and what it computes."""

    function: int
    line: list  # (file, line) of the branch at its end
    branches: bool
    entry: bool = False
    header: bool = False
    depth: int = 0
    inside: list = field(default_factory=list)  # headers of the loops around it, outermost first, itself included
    flops: int = 0
    flops64: int = 0
    flop_lines: list = field(default_factory=list)  # (file, line, operations)
    meets: bool = False  # a barrier is called here
    later: list = field(
        default_factory=list
    )  # of one that meets: the blocks that meet and come after it in the same round
    first: list = field(default_factory=lambda: ["", 0])  # (file, line) of the first operation that has one


class Flow:
    """Follows the text from function to function and completes the blocks: their successors, loops and operations."""

    def __init__(self, metadata, blocks):
        self.metadata, self.blocks = metadata, blocks
        self.number, self.label, self.last, self.first = -1, None, "", 0
        self.successors, self.labels, self.switch, self.at_start = {}, {}, None, True

    def block(self) -> None:
        self.at_start = False  # a first block without a label
        self.labels[self.label] = len(self.blocks)
        self.blocks.append(Block(self.number, ["", 0], False, entry=self.label is None))

    def line(self, line: str) -> None:
        if line.startswith("define "):
            self.number, self.label, self.first = self.number + 1, None, len(self.blocks)
            self.successors, self.labels, self.at_start = {}, {}, True
        elif match := re.match(r'([\w.$-]+|"[^"]+"):', line):
            self.label = None if self.at_start else match[1]  # nothing branches to a function's first block
            self.at_start = False
        elif line.startswith("}"):
            self._finish()
        elif self.label in self.labels:
            current = self.blocks[self.labels[self.label]]
            if not current.first[1] and (frames := frames_of(self.metadata, line)) and frames[0][1]:
                current.first = frames[0][:2]
            current.meets |= "wait_at_barrier" in line
            if self.switch is not None or re.match(r"\s+(br|switch) ", line):
                targets = re.findall(r'label %([\w.$-]+|"[^"]+")', line)
                self.successors.setdefault(self.label, []).extend(targets)
                if "!dbg" in line:
                    frames = frames_of(self.metadata, line)
                    current.line = frames[0][:2] if frames else ["", 0]
                if line.lstrip().startswith("switch"):
                    self.switch = True
                if self.switch and line.lstrip().startswith("]"):
                    self.switch = None
                current.branches = len(set(self.successors[self.label])) > 1
            elif match := FLOP.search(line):
                self._count(current, *match.groups(), line)

    def _count(self, block, word, kind, callee, line):
        if word == "call":
            match = MATHEMATICS.match(callee or "")
            if match is None:
                return
            operations = 2 if match[1] in ("fma", "fmuladd") else 1
        else:
            operations = 1
        lanes = re.search(r"<(\d+) x ", kind)
        operations *= int(lanes[1]) if lanes else 1
        if "double" in kind:
            block.flops64 += operations
        else:
            block.flops += operations
        frames = frames_of(self.metadata, line)
        if frames:
            block.flop_lines.append((frames[0][0], frames[0][1], operations))

    def _finish(self):
        """Natural loops: an edge to a block that dominates its source closes one."""
        own = self.labels
        order, seen = [], set()
        if None not in own:
            return
        stack = [(None, iter(self.successors.get(None, ())))]
        seen.add(None)
        while stack:
            label, rest = stack[-1]
            following = next((s for s in rest if s not in seen), "")
            if following == "":
                order.append(label)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(self.successors.get(following, ()))))
        order.reverse()
        index = {label: i for i, label in enumerate(order)}
        before = {label: [] for label in order}
        for label in order:
            for s in self.successors.get(label, ()):
                before[s].append(label)
        dominator = {None: None}
        changed = True
        while changed:
            changed = False
            for label in order[1:]:
                new = None
                found = False
                for p in before[label]:
                    if p in dominator:
                        new, found = (p, True) if not found else (self._meet(new, p, dominator, index), True)
                if found and dominator.get(label, "") != new:
                    dominator[label] = new
                    changed = True
        self._find_later(order, index)
        loops = {}
        for label in order:
            for s in self.successors.get(label, ()):
                if self._dominates(s, label, dominator):
                    body = loops.setdefault(s, {s})
                    todo = [label]
                    while todo:
                        b = todo.pop()
                        if b not in body:
                            body.add(b)
                            todo.extend(before[b])
        for header, body in loops.items():
            if header in own:
                self.blocks[own[header]].header = True
            for label in body:
                if label in own:
                    self.blocks[own[label]].inside.append((len(body), own.get(header, -1)))
        for number in own.values():
            block = self.blocks[number]
            block.inside = [h for _, h in sorted(block.inside, reverse=True)]
            block.depth = len(block.inside)

    def _find_later(self, order, index):
        """Which barriers follow which, loops' ways back left out: copies for two cases of a branch do not."""
        following = {}
        for label in reversed(order):
            found = set()
            for s in self.successors.get(label, ()):
                if index[s] > index[label]:
                    found |= following[s]
                    if s in self.labels and self.blocks[self.labels[s]].meets:
                        found.add(self.labels[s])
            following[label] = found
            if label in self.labels and self.blocks[self.labels[label]].meets:
                self.blocks[self.labels[label]].later = sorted(found)

    @staticmethod
    def _meet(a, b, dominator, index):
        while a != b:
            while index[a] > index[b]:
                a = dominator[a]
            while index[b] > index[a]:
                b = dominator[b]
        return a

    @staticmethod
    def _dominates(a, b, dominator):
        while b != a and b is not None:
            b = dominator[b]
        return a == b
