"""Reads the host code of a stranger's file for its launches: `<<<…>>>`, cudaMalloc and constants. Nothing of it is run.

Each statement is followed once, from main on: branches whose condition cannot be told are both followed, a loop's body
once. What depends on a file, a command line or a library stays unknown.
"""

import re
from contextlib import suppress

from .host_calls import Calls
from .host_values import Dim3, Launch, Pointer, number
from .items import Item
from .proposals import THREADS, propose_scalars
from .tokens import Token, closing, closing_angle, split, written
from .user_source import UserFile

DEEPEST, MOST_STEPS, MOST_ROUNDS = 8, 60000, 64
STATEMENTS = ("return", "break", "continue", "goto", "throw")


class TooLong(Exception):
    """The host code makes more steps than are followed."""


class HostCode(Calls):
    """launches: all that the host code makes, in its order."""

    def __init__(self, user: UserFile, larger: int = 1):
        super().__init__(user)
        self.larger = larger  # than the usual proposals
        self.launches: list[Launch] = []
        self.functions: dict[str, list[Item]] = {}
        self.depth, self.steps, self.visited, self.unsure = 0, 0, set(), 0
        for item in user.items:
            if item.kind == "function" and item.defined and not item.is_kernel:
                self.functions.setdefault(item.names[0], []).append(item)
        for item in user.items:
            if item.kind == "variable" and item.tokens:
                self._safely(lambda i=item: self._declaration(i.tokens[:-1], self.globals))
        with suppress(TooLong):
            self._follow()

    def _follow(self) -> None:
        if main := self.functions.get("main"):
            self._safely(lambda: self._call_body(main[0], {"argc": 1}))
        words = {name: {t.text for i in items for t in i.body} for name, items in self.functions.items()}
        called = {word for name, those in words.items() for word in those - {name}}
        for name in sorted(self.functions, key=lambda n: n in called):  # those first that nobody in the file calls
            for item in self.functions[name]:
                if id(item) not in self.visited and self._leads_to_a_launch(name, words):
                    self._safely(lambda i=item: self._call_body(i, self._unknown_parameters(i)))

    def _leads_to_a_launch(self, name: str, words: dict[str, set]) -> bool:
        seen, todo = set(), [name]
        while todo:
            name = todo.pop()
            seen.add(name)
            if "<<<" in words[name]:
                return True
            todo += (words[name] & set(words)) - seen
        return False

    def _safely(self, work):
        with suppress(IndexError, RecursionError, TypeError, KeyError, OverflowError, AttributeError, StopIteration):
            work()  # host code of a kind that is not followed: what was found so far stands

    def _unknown_parameters(self, item: Item) -> dict:
        """A library's entry, which nobody in the file calls: sizes that no block divides, arrays of no known length."""
        table = {}
        parts = [p for p in split(item.parameters) if p]
        parameters = tuple(self.user.parameter(p) for p in parts)
        sizes = tuple(p for p in parameters if not THREADS.search(p.name))
        whole = sum(1 for p in sizes if not p.stars and p.dtype is not None and p.dtype.kind in "iu")
        proposed = propose_scalars(sizes, whole > 1)
        for part, p in zip(parts, parameters):
            if p.stars or any(t.text == "vector" for t in part):
                table[p.name] = Pointer(p.name, None, True, True, False, p.c_type)
            elif THREADS.search(p.name) and p.dtype is not None and p.dtype.kind in "iu":
                table[p.name] = 256
            elif p.name in proposed:
                text = proposed[p.name]
                table[p.name] = float(text) if "." in text else int(text) * (self.larger if int(text) > 4 else 1)
                self.proposed.add(p.name)
        return table

    def call_function(self, name: str, arguments: list):
        """Follows one of the file's own functions."""
        found = [
            f for f in self.functions.get(name, []) if len([p for p in split(f.parameters) if p]) >= len(arguments)
        ]
        if not found or self.depth >= DEEPEST:
            return None
        item = found[0]
        table = {}
        for part, value in zip([p for p in split(item.parameters) if p], arguments):
            part = part[: next((i for i, t in enumerate(part) if t.text == "="), len(part))]
            part = part[: next((i for i, t in enumerate(part) if t.text == "["), len(part))]
            if part:
                table[part[-1].text] = value
                if isinstance(value, Pointer) and not value.item and len(part) > 1 and part[-2].text == "*":
                    value.item = written([t for t in part[:-2] if t.text != "const"])
        return self._call_body(item, table)

    def _call_body(self, item: Item, table: dict):
        self.visited.add(id(item))
        self.depth += 1
        before, self.function = self.function, item.names[0]
        tables, self.tables = self.tables, [self.globals, table]
        result = []
        try:
            self._block(item.body, result)
        finally:
            self.depth -= 1
            self.tables, self.function = tables, before
        return result[0] if result else None

    # ---------------------------------------------------------------------------------------------------- statements

    def _block(self, found: list[Token], result: list) -> bool:
        """Follows statements; whether the function has surely returned."""
        i = 0
        while i < len(found):
            i, done = self._statement(found, i, result)
            if done:
                return True
        return False

    def _statement(self, found, i, result):
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooLong
        t = found[i].text
        if found[i].kind == "mark" or t == ";":
            return i + 1, False
        if t == "{":
            end = closing(found, i)
            return end + 1, self._block(found[i + 1 : end], result)
        if t == "if":
            return self._if(found, i, result)
        if t == "switch" and (case := self._case(found, i)):
            self._block(case, result)  # it first; then the others, as may-be
        if t in ("for", "while", "switch"):
            return self._loop(found, i, t, result)
        if t == "do":
            end, _ = self._statement(found, i + 1, result)
            return self._semicolon(found, end), False
        if t in ("case", "default"):
            while i < len(found) and found[i].text not in (":", "{"):
                i += 1
            return i + 1, False
        if t in ("try", "else"):
            return i + 1, False
        if t == "catch":
            i = closing(found, i + 1) + 1
            return closing(found, i) + 1, False
        end = self._semicolon(found, i)
        part = found[i : end - 1] if end <= len(found) and found[end - 1].text == ";" else found[i:end]
        if t in STATEMENTS:
            if t == "return":
                value = self.evaluate(part[1:]) if len(part) > 1 else None
                if not result:
                    result.append(value)
            return end, t == "return" and not self.unsure
        self._safely(lambda: self._declaration(part, self.tables[-1]) or self.evaluate(part))
        return end, False

    def _semicolon(self, found, i):
        while i < len(found) and found[i].text != ";":
            i = closing(found, i) + 1 if found[i].text in ("(", "[", "{") else i + 1
        return i + 1

    def _if(self, found, i, result):
        i += found[i + 1].text == "constexpr"
        end = closing(found, i + 1)
        told = number(self.evaluate(found[i + 2 : end]))
        i, done = self._branch(found, end + 1, result, told is None or bool(told), told is None)
        if i < len(found) and found[i].text == "else":
            i, other = self._branch(found, i + 1, result, told is None or not told, told is None)
            return i, (done if told else other) if told is not None else False
        return i, done and told is not None and bool(told)

    def _case(self, found, i) -> list[Token]:
        """The statements of a switch that a known number leads to, up to their break; none where it is not known."""
        end = closing(found, i + 1)
        told = number(self.evaluate(found[i + 2 : end]))
        if told is None or end + 1 >= len(found) or found[end + 1].text != "{":
            return []
        body, at, begin = found[end + 2 : closing(found, end + 1)], 0, None
        while at < len(body):
            t = body[at].text
            if t == "break" and begin is not None:
                return body[begin:at]
            if t == "case" and begin is None:
                colon = next((k for k in range(at, len(body)) if body[k].text == ":"), len(body))
                if number(self.evaluate(body[at + 1 : colon])) == told:
                    begin = colon + 1
            at = closing(body, at) + 1 if t in ("(", "[", "{", "<<<") else at + 1
        return body[begin:] if begin is not None else []

    def _branch(self, found, i, result, taken, unsure):
        if not taken:
            return self._skip(found, i), False
        self.unsure += unsure
        try:
            return self._statement(found, i, result)
        finally:
            self.unsure -= unsure

    def _skip(self, found, i):
        """Behind the statement at i, which is not followed."""
        t = found[i].text if i < len(found) else ""
        if t == "{":
            return closing(found, i) + 1
        if t in ("if", "for", "while", "switch"):
            i = self._skip(found, closing(found, i + 1) + 1)
            return self._skip(found, i + 1) if t == "if" and i < len(found) and found[i].text == "else" else i
        if t == "else":
            return self._skip(found, i + 1)
        if t == "do":
            return self._semicolon(found, self._skip(found, i + 1))
        return self._semicolon(found, i)

    def _loop(self, found, i, kind, result):
        end = closing(found, i + 1)
        condition = found[i + 2 : end]
        parts = split(condition, ";")
        if kind == "for" and len(parts) >= 2:
            if parts[0] and not self._declaration(parts[0], self.tables[-1]):
                self.evaluate(parts[0])
            told = number(self.evaluate(parts[1])) if parts[1] else 1
        elif kind == "for":
            told = None
        else:
            told = number(self.evaluate(condition)) if kind == "while" else None
        before, self.unsure = self.unsure, self.unsure + 1
        try:
            if told == 0:
                return self._skip(found, end + 1), False
            held, begin = dict(self.tables[-1]), end + 1
            i, _ = self._statement(found, begin, result)
            if kind == "while" and told is not None and not any(t.text == "<<<" for t in found[begin:i]):
                self._to_its_end(found, condition, begin, held, result)
            if kind == "for" and len(parts) > 2:
                for name in {t.text for t in parts[0] if t.kind == "word"} & set(self.tables[-1]):
                    if isinstance(self.tables[-1][name], int):
                        self.evaluate(parts[2])
                        break
            return i, False
        finally:
            self.unsure = before

    def _to_its_end(self, found, condition, begin, held, result):
        """The further rounds of a while; what they change is unknown where they do not end soon."""
        for _ in range(MOST_ROUNDS):
            told = number(self.evaluate(condition))
            if told == 0:
                return
            if told is None:
                break
            self._statement(found, begin, result)
        for name, value in held.items():
            if number(value) is not None and self.tables[-1].get(name) != value:
                self.tables[-1][name] = None

    # -------------------------------------------------------------------------------------------------- declarations

    def _declaration(self, part: list[Token], table: dict) -> bool:
        """`float *a, b = 2;` into the table; whether it was one."""
        i, base = 0, []
        if not part or part[0].kind != "word":
            return False
        while i < len(part) and part[i].text in (
            "const",
            "static",
            "constexpr",
            "unsigned",
            "struct",
            "extern",
            "register",
            "long",
            "volatile",
        ):
            base.append(part[i].text)
            i += 1
        if i >= len(part) or part[i].kind != "word":
            return False
        start = i
        kind = part[i].text
        i += 1
        while i + 1 < len(part) and part[i].text == "::":
            kind, i = kind + "::" + part[i + 1].text, i + 2
        inner = ""
        if i < len(part) and part[i].text == "<" and (close := closing_angle(part, i)) > 0:
            inner = " ".join(t.text for t in part[i + 1 : close])
            i = close + 1
        while i < len(part) and part[i].text in ("const", "int", "long", "unsigned"):
            kind = kind if part[i].text in ("const", "int") else kind + " " + part[i].text
            i += 1
        qualified = (
            bool(base)
            and ("unsigned" in base or "long" in base)
            and (i >= len(part) or part[i].text in ("=", ",", ";", "[", "("))
        )
        if qualified and i == start + 1:  # `unsigned n = 4`: the word was the name
            i, kind = start, " ".join(base)
        if i >= len(part) or not (part[i].kind == "word" or (part[i].text in ("*", "&") and self.is_type(kind))):
            return False
        if part[i].kind != "word" and not self.is_type(kind) and "::" not in kind:
            return False
        for piece in split(part[i:]):
            self._declarator(piece, kind, inner, table)
        return True

    def _declarator(self, piece, kind, inner, table):
        stars = sum(1 for t in piece[: next((i for i, t in enumerate(piece) if t.kind == "word"), 0)] if t.text == "*")
        piece = [
            t
            for k, t in enumerate(piece)
            if not (t.text in ("*", "&", "const") and all(x.text in ("*", "&", "const") for x in piece[:k]))
        ]
        if not piece or piece[0].kind != "word":
            return
        name, rest = piece[0].text, piece[1:]
        value = None
        if rest and rest[0].text == "[":
            dims = []
            while rest and rest[0].text == "[":
                end = closing(rest, 0)
                dims.append(number(self.evaluate(rest[1:end])) if end > 1 else None)
                rest = rest[end + 1 :]
            if rest and rest[0].text == "=":
                value = self.evaluate(rest[1:])
            else:
                size = self.size_of(kind) * (8 // max(1, self.size_of(kind)) if stars else 1)
                value = Pointer(name, None if None in dims else int(size * _product(dims)), False, False, False, kind)
        elif rest and rest[0].text == "=":
            value = self.converted(kind if not stars else "", self.evaluate(rest[1:]))
            if isinstance(value, list) and not stars and self.user.struct(kind.rpartition("::")[2]) is not None:
                value = self.constructed(kind, inner, [value], name)
            if stars and isinstance(value, Pointer) and kind not in ("void", "auto"):
                value.item = value.item or kind
        elif rest and rest[0].text in ("(", "{"):
            arguments = [self.evaluate(p) for p in split(rest[1:-1])]
            value = self.constructed(kind, inner, arguments, name)
        elif not stars:
            value = self.constructed(kind, inner, [], name)
        table[name] = value
        if stars == 1:
            table["*" + name] = kind  # what a later cudaMalloc(&name, …) makes


def _product(values):
    made = 1
    for v in values:
        made *= v
    return made


def launches_of(user: UserFile, kernel: str) -> list[Launch]:
    """The host code's launches of one kernel, those of which most is known first."""
    bare, found = kernel.rpartition("::")[2], []
    for larger in (1, 20):  # width / 256 blocks of a proposed width
        found = [x for x in HostCode(user, larger).launches if re.sub(r".*::", "", x.kernel) == bare]
        if not any(isinstance(x.grid, Dim3) and 0 in (x.grid.x, x.grid.y, x.grid.z) for x in found):
            break

    def unknown(x):
        return sum(v is None for v in (x.grid, x.block)) * 10 + sum(v is None for v in x.arguments)

    return sorted(found, key=unknown)
