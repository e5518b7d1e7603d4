"""Random kernels, sound by construction: the check build must build them, find nothing, and compute what the fast does.

Each thread works on its own elements of the arrays; threads exchange through shared memory with barriers, through
shuffles and through atomics whose order does not matter. All whole numbers: results are compared bit by bit.
"""

import random

TYPES = ("int", "unsigned", "long long", "unsigned char", "short")
BLOCK = 64


class Maker:
    """One kernel, made of a seed."""

    def __init__(self, seed: int):
        self.random, self.lines, self.depth, self.names = random.Random(seed), [], 1, ["t", "a"]
        self.shared = [(f"s{i}", self.random.choice(TYPES), 2 ** self.random.randint(6, 8)) for i in range(2)]
        self.local = self.random.choice((0, 3, 8, 20))
        self.bins = self.random.choice((1, 4, 37))
        self.pairs = self.random.random() < 0.5

    def text(self) -> str:
        """k(const int* x, int* y, unsigned char* z, int n) for one block of BLOCK threads, arrays of 4 * BLOCK."""
        self._statements(self.random.randint(3, 9))
        head = ["struct Pair { int u; short v; unsigned char w; };"] if self.pairs else []
        head += [f"__device__ int table[{BLOCK}];", "__constant__ int odd[8] = {1, 3, 5, 7, 9, 11, 13, 15};"]
        head += ["__device__ __noinline__ int mixed(int a, int b) { return a * 31 + (b ^ (a >> 3)); }"]
        start = [f"__shared__ {kind} {name}[{size}];" for name, kind, size in self.shared]
        start += [f"__shared__ int bins[{self.bins}], total[2];", "int t = threadIdx.x, a = x[t];"]
        start += [f"for (int i = t; i < {size}; i += {BLOCK}) {name}[i] = i;" for name, _, size in self.shared]
        start += [f"for (int i = t; i < {self.bins}; i += {BLOCK}) bins[i] = 0;", "if (t < 2) total[t] = 0;"]
        start += (
            [f"int own[{self.local}];", f"for (int i = 0; i < {self.local}; i++) own[i] = i * a;"] if self.local else []
        )
        start += ["table[t] = a;", "__syncthreads();"]
        end = ["__syncthreads();", "y[t] = a;", "z[t] = a >> 2;", f"if (t < {self.bins}) y[{BLOCK} + t] = bins[t];"]
        end += [f"if (t < 2) y[{2 * BLOCK} + t] = total[t];", f"y[{3 * BLOCK} + t] = table[{BLOCK - 1} - t];"]
        body = "\n".join("    " * d + line for d, line in [(1, s) for s in start] + self.lines + [(1, e) for e in end])
        return "\n".join(
            [*head, 'extern "C" __global__ void k(const int* x, int* y, unsigned char* z, int n) {', body, "}", ""]
        )

    def _add(self, line):
        self.lines.append((self.depth, line))

    def _value(self, depth=0) -> str:
        r, pick = self.random, self.random.randint(0, 11 if depth < 3 else 4)
        if pick <= 1:
            return r.choice(self.names)
        if pick == 2:
            return str(r.choice((0, 1, 2, 3, 7, 31, 255, -5, 1 << 20)))
        if pick == 3:
            return f"odd[{r.choice(('3', 't & 7'))}]"
        if pick == 4:
            return f"own[{self._index(self.local)}]" if self.local else "n"
        if pick == 5:
            return f"x[t + {BLOCK} * ({self._value(3)} & 3)]"
        if pick == 6:
            return f"mixed({self._value(depth + 1)}, {self._value(depth + 1)})"
        if pick == 7:
            return f"({self._value(depth + 1)} ? {self._value(depth + 1)} : {self._value(depth + 1)})"
        if pick == 8:
            return f"(int)((unsigned)({self._value(depth + 1)}) {r.choice('/%')} (({self._value(3)} & 15) + 1))"
        operation = r.choice(("+", "-", "*", "&", "|", "^", "<", "=="))
        if operation in "+-*":
            return f"(int)((unsigned)({self._value(depth + 1)}) {operation} (unsigned)({self._value(depth + 1)}))"
        return f"(({self._value(depth + 1)}) {operation} ({self._value(depth + 1)}))"

    def _index(self, size: int) -> str:
        if self.random.random() < 0.4:
            return str(self.random.randrange(size))
        return f"(unsigned)({self._value(2)}) % {size}u"

    def _statements(self, count, uniform=True):
        for _ in range(count):
            self._statement(uniform)

    def _statement(self, uniform):
        r = self.random
        kinds = ["value", "value", "local", "if", "for", "atomic", "switch", "pair"]
        kinds += ["exchange", "shuffle", "vote", "copy"] if uniform and self.depth < 3 else []
        kind = r.choice(kinds)
        if kind == "value":
            self._add(f"a {r.choice(('=', '^='))} {self._value()};")
        elif kind == "local" and self.local:
            self._add(f"own[{self._index(self.local)}] = {self._value()};")
        elif kind == "pair" and self.pairs:
            self._add(
                f"{{ Pair p = {{{self._value(2)}, (short)t, (unsigned char)a}}; Pair q = p; a ^= q.u + q.v + q.w; }}"
            )
        elif kind == "atomic":
            word = r.choice(
                (f"bins[{self._index(self.bins)}]", f"total[{r.randrange(2)}]", f"bins[{r.randrange(self.bins)}]")
            )
            self._add(f"atomicAdd(&{word}, {self._value(2)});")
        elif kind in ("if", "for", "switch") and self.depth < 4:
            self._nested(kind, uniform)
        elif kind == "exchange":
            name, _, size = r.choice(self.shared)
            self._add(f"{name}[t] = {self._value()};")
            self._add("__syncthreads();")
            where = f"(t + {r.randrange(size)}) % {size}" if r.random() < 0.7 else str(r.randrange(size))
            self._add(f"a ^= (int){name}[{where}];")
            self._add("__syncthreads();")
        elif kind == "shuffle":
            self._add(f"a ^= __shfl_{r.choice(('xor', 'down', 'up'))}_sync(0xffffffffu, a, {r.choice((1, 2, 5, 16))});")
        elif kind == "vote":
            self._add(f"a += __popc(__ballot_sync(0xffffffffu, a & {1 << r.randrange(8)}));")
        elif kind == "copy" and self.local >= 8:
            self._add(f"memcpy(own, x + 4 * {r.randrange(8)}, 4 * {r.randint(1, 8)});")

    def _nested(self, kind, uniform):
        r = self.random
        same = r.random() < 0.5
        if kind == "if":
            self._add(f"if ({'n > ' + str(r.randrange(4)) if same else self._value(1)}) {{")
        elif kind == "for":
            name = f"i{self.depth}"
            bound = str(r.randint(1, 5)) if same else f"({self._value(2)} & 3)"
            self._add(f"for (int {name} = 0; {name} < {bound}; {name}++) {{")
            self.names.append(name)
        else:
            self._add(
                f"switch ({self._value(1)} & 3) {{ case 0: a++; break; case 1: a ^= 5; case 2: a -= 3; break;"
                " default: {"
            )
        self.depth += 1
        self._statements(r.randint(1, 3), uniform and same and kind != "switch")
        self.depth -= 1
        self._add("}}" if kind == "switch" else "}")
        if kind == "for":
            self.names.pop()
