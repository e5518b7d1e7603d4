"""Gives registers their slots, and writes instructions as the machine reads them.

PTX has thousands of registers, each written about once; a warp's slots should lie in a cache. So a register keeps a
slot only from its first write to its last use. Each lane is a thread of its own: this holds however lanes part.
"""

import heapq
import re

import numpy as np

from .ptx import NotKnown
from .records import ADDRESS, ADDRESS32, BRANCH, EXIT, LABEL, NEGATED, NO_SLOT, RECORD, SHARED_START, SPECIALS, Program


def encode(made) -> Program:
    """The program of a _Translation."""
    steps = made.steps
    if not steps or steps[-1].kind != EXIT:
        made.common = {}
        made.add("control", [], [], kind=EXIT)
    places = {step.target: n for n, step in enumerate(steps) if step.kind == LABEL}
    slots, constants, count = _slots(made, steps, places)
    records = np.zeros(len(steps), RECORD)
    records["r"] = NO_SLOT
    records["guard"] = NO_SLOT
    records["mask"] = -1
    for n, step in enumerate(steps):
        record = records[n]
        operands = [slots[name] for name in (*step.outs, *step.ins)]
        if len(operands) > ADDRESS:
            raise NotKnown(f"{made.kernel.name}: {step.text}")
        record["r"][: len(operands)] = operands
        if step.address is not None:
            record["r"][ADDRESS] = slots[step.address]
            record["flags"] |= ADDRESS32 * (made.width(step.address) == 4)
        if step.guard is not None:
            record["guard"] = slots[step.guard]
            record["flags"] |= NEGATED * step.negated
        if step.kind == BRANCH:
            record["target"] = places[step.target]
        for key in ("kind", "offset", "size", "count", "space", "mask"):
            record[key] = getattr(step, key)
    program = Program(
        name=made.kernel.name,
        records=records,
        names=[step.name for step in steps],
        texts=[_shown(made.module.files, step) for step in steps],
        constants=[],
        parameters=[],
        parameter_bytes=list(made.kernel.parameters.values()),
        symbols=[],
        specials=[],
        slots=count,
        shared=[(name, at, size) for name, (at, size) in made.shared.items()],
        shared_bytes=made.dynamic_at - SHARED_START,
        static_bytes=sum(size for _, size in made.shared.values()),
        dynamic=any(not size for _, size in made.shared.values()),
        local_bytes=made.local_bytes,
        most_threads=made.kernel.most_threads,
        variables=list(made.memory.values()),
    )
    for name in constants:
        _begin(program, name, slots[name])
    return program


def _shown(files: dict, step) -> str:
    number, line = step.line
    return f"{step.text}   ({files[number]}:{line})" if number in files else step.text


def _begin(program: Program, name: str, slot: int) -> None:
    """What a slot holds before the first instruction."""
    if name[0] == "#":
        program.constants.append((int(name.lstrip("#")), slot, int(name.startswith("##"))))
    elif name[0] == "=":
        offset, width, kind = name.lstrip("=").split(":")
        program.parameters.append((int(offset), int(width), kind == "s", slot, int(name.startswith("=="))))
    elif name[0] == "&":
        variable, _, added = name[1:].rpartition("+")
        program.symbols.append((variable, int(added), slot))
    else:
        program.specials.append((SPECIALS[name[1:]], slot))


def _slots(made, steps, places) -> tuple[dict[str, int], list[str], int]:
    """(slot of each name, names that hold one value for good, number of slots)."""
    numbers, constants = {}, {}
    for step in steps:
        names = [*step.outs, *step.ins, *(n for n in (step.guard, step.address) if n is not None)]
        for name in names:
            if name[0] in "#=&@":
                constants.setdefault(name, len(constants))
            else:
                numbers.setdefault(name, len(numbers))
    first, last = _lives(steps, places, numbers)
    order = sorted(numbers, key=lambda name: first[numbers[name]])
    slots, ends = {}, {4: [], 8: []}
    free, used = {4: [], 8: []}, {4: 0, 8: 0}
    for name in order:
        n, width = numbers[name], made.width(name)
        while ends[width] and ends[width][0][0] <= first[n]:
            heapq.heappush(free[width], heapq.heappop(ends[width])[1])
        if free[width]:
            slot = heapq.heappop(free[width])
        else:
            slot, used[width] = used[width], used[width] + 1
        slots[name] = (width, slot)
        # written and never read: its slot is its own while the instruction writes others
        heapq.heappush(ends[width], (max(last[n], first[n] + 1), slot))
    for name in constants:
        width = made.width(name)
        slots[name] = (width, used[width])
        used[width] += 1
    count = used[4] + 2 * used[8]
    if count >= NO_SLOT:
        raise NotKnown(f"{made.kernel.name}: {count} slots of registers")
    return (
        {name: slot if width == 4 else used[4] + 2 * slot for name, (width, slot) in slots.items()},
        list(constants),
        count,
    )


def _lives(steps, places, numbers) -> tuple[list[int], list[int]]:
    """First and last step of each register's life."""
    labels = {n for n, step in enumerate(steps) if step.kind == LABEL}
    behind = {n + 1 for n, step in enumerate(steps[:-1]) if step.kind in (BRANCH, EXIT)}
    starts = sorted({0} | labels | behind)
    block_of = {start: b for b, start in enumerate(starts)}
    ends = [*starts[1:], len(steps)]
    first, last = [len(steps)] * len(numbers), [-1] * len(numbers)
    gen, kill, follow = [], [], []
    for start, end in zip(starts, ends):
        uses = defs = 0
        for n in range(start, end):
            step = steps[n]
            read = [*step.ins, *(name for name in (step.guard, step.address) if name is not None)]
            if step.guard is not None:
                read += step.outs  # where the guard does not hold, the old value stays
            for name in read:
                if (number := numbers.get(name)) is not None:
                    last[number] = n
                    first[number] = min(first[number], n)
                    if not defs >> number & 1:
                        uses |= 1 << number
            for name in step.outs:
                number = numbers[name]
                first[number] = min(first[number], n)
                last[number] = max(last[number], n)
                if step.guard is None:
                    defs |= 1 << number
        gen.append(uses)
        kill.append(defs)
        final = steps[end - 1]
        after = [block_of[places[final.target]]] if final.kind == BRANCH else []
        if not (final.kind in (BRANCH, EXIT) and final.guard is None) and end < len(steps):
            after.append(block_of[end])
        follow.append(after)
    live = [0] * len(starts)
    changed = True
    while changed:
        changed = False
        for b in reversed(range(len(starts))):
            out = 0
            for other in follow[b]:
                out |= live[other]
            found = gen[b] | (out & ~kill[b])
            if found != live[b]:
                live[b], changed = found, True
    for b, (start, end) in enumerate(zip(starts, ends)):
        out = 0
        for other in follow[b]:
            out |= live[other]
        for sets, at in ((live[b], start), (out, end)):
            for digit in re.finditer("1", bin(sets)[:1:-1]):
                number = digit.start()
                first[number] = min(first[number], at)
                last[number] = max(last[number], at)
    return first, last
