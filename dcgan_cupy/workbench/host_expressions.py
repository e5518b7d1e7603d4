"""Expressions of host code, evaluated as far as they can be told."""

import re
from dataclasses import replace

from .arguments import layout
from .host_values import BINARY, DEVICE, PRECEDENCE, SIZES, Dim3, Function, Launch, Pointer, Reference, Struct, number
from .tokens import Token, closing, closing_angle, split, written
from .user_source import UserFile
from .user_types import VECTORS

CASTS = ("static_cast", "reinterpret_cast", "const_cast", "dynamic_cast")


class Expressions:
    """Evaluates a list of tokens with the names of `tables`, the innermost last."""

    def __init__(self, user: UserFile):
        self.user = user
        self.globals: dict = {}
        self.tables = [self.globals]
        self.function = ""
        self.unsure = 0
        self.launches: list[Launch] = []
        self.proposed: set[str] = set()

    # --------------------------------------------------------------------------------------------------------- types

    def is_type(self, name: str) -> bool:
        last = name.rpartition("::")[2]
        known = last in SIZES or last in VECTORS or last in ("void", "dim3", "auto", "uint", "FILE", "T", "string")
        return known or last.startswith("cuda") or self.user.has_type(last) or last.endswith("_t")

    def size_of(self, c_type: str) -> int:
        """Bytes of a type, 0 where it is not known."""
        stars, c, dtype, lanes = self.user.resolve(c_type, 0)
        if stars:
            return 8
        if dtype is not None:
            return dtype.itemsize * lanes
        words = c.split()
        found = SIZES.get(c) or next((SIZES[w] for w in ("long", "short", "char", "double") if w in words), 0)
        struct = None if found else layout(self.user, c)
        return struct.size if struct else found

    def converted(self, kind: str, value):
        """A value as a variable of this type holds it."""
        if not kind or number(value) is None:
            return Dim3(value) if kind == "dim3" and number(value) is not None else value
        _, _, dtype, lanes = self.user.resolve(kind)
        if kind == "dim3":
            return Dim3(value)
        if dtype is not None and lanes == 1 and dtype.kind in "iu":
            bits = 8 * dtype.itemsize
            whole = int(value) & ((1 << bits) - 1)
            return whole - (1 << bits) if dtype.kind == "i" and whole >> (bits - 1) else whole
        return float(value) if dtype is not None and dtype.kind == "f" else value

    def constructed(self, kind: str, inner: str, arguments: list, name: str):
        """T name(arguments)."""
        last = kind.rpartition("::")[2]
        if last == "dim3":
            return Dim3(*arguments[:3])
        if last in ("vector", "device_vector", "host_vector", "unique_ptr", "shared_ptr", "array", "universal_vector"):
            item, count = inner.split(",")[0].strip(), number(arguments[0]) if arguments else None
            size = self.size_of(item)
            pointer = Pointer(
                name, None if count is None or not size else int(count) * size, "device" in last, True, False, item
            )
            pointer.zeros = last == "device_vector" and len(arguments) == 1
            return pointer
        if last in VECTORS:
            return Dim3(*arguments[:3]) if arguments else None
        if last.startswith("cudaDeviceProp"):
            return Struct(last, dict(DEVICE))
        if self.user.struct(last) is not None:
            members = self.user.struct(last) or []
            values = arguments[0] if arguments and isinstance(arguments[0], list) else arguments
            return Struct(last, {m.name: v for m, v in zip(members, values)})
        return self.converted(kind, arguments[0]) if len(arguments) == 1 else None

    # ---------------------------------------------------------------------------------------------------- evaluation

    def evaluate(self, found: list[Token]):
        """The value of an expression, None where it cannot be told. Assignments and calls have their effect."""
        parts = split(found)
        if len(parts) > 1:
            return [self.evaluate(p) for p in parts][-1]
        return self._assignment(found)

    def _assignment(self, found):
        i = 0
        while i < len(found):
            t = found[i].text
            if t in ("(", "[", "{") or t == "<<<":
                i = closing(found, i)
            elif t == "?":
                break
            elif t == ">" and i + 1 < len(found) and found[i + 1].text == ">=":  # x >>= 1
                target, by = self.place(found[:i]), number(self._assignment(found[i + 2 :]))
                old = number(target.get()) if target else None
                if target is not None:
                    target.table[target.key] = None if old is None or by is None else BINARY[">>"](old, by)
                return target.get() if target else None
            elif t == "=" or t in ("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<="):
                value = self._assignment(found[i + 1 :])
                target = self.place(found[:i])
                if target is None:
                    return value
                if t != "=":
                    old = number(target.get())
                    value = None if old is None or number(value) is None else BINARY[t[:-1]](old, value)
                elif isinstance(target.get(), Dim3) and number(value) is not None:
                    value = Dim3(value)
                if not (value is None and self.unsure and target.get() is not None):
                    old = target.get()
                    target.table[target.key] = (
                        int(value) if isinstance(old, int) and isinstance(value, float) else value
                    )
                return value
            i += 1
        return self._ternary(found)

    def _ternary(self, found):
        at = self._find(found, ("?",))
        if at is None:
            return self._binary(found, 0)
        depth, colon = 0, None
        for i in range(at + 1, len(found)):
            depth += (found[i].text == "?") - (found[i].text == ":")
            if depth < 0:
                colon = i
                break
        if colon is None:
            return None
        told = number(self._binary(found[:at], 0))
        if told is None:  # what a command line would change: its default stands
            return self._assignment(found[colon + 1 :])
        return self._assignment(found[at + 1 : colon] if told else found[colon + 1 :])

    def _find(self, found, signs, last=False):
        at, i, cast = None, 0, -1
        while i < len(found):
            t = found[i].text
            if t in ("(", "[", "{", "<<<"):
                end = closing(found, i)
                called = i > 0 and (found[i - 1].kind == "word" or found[i - 1].text in (")", "]", ">"))
                cast = end if t == "(" and not called and self._is_cast(found[i + 1 : end]) else -1
                i = end
            elif t == "<" and i and found[i - 1].kind == "word" and self._template(found, i):
                i = closing_angle(found, i)
            elif t in ("&", "*", "-", "+") and cast == i - 1:
                pass  # (void**)&x: of one operand
            elif t in signs and i and (found[i - 1].kind != "sign" or found[i - 1].text in (")", "]", "}", ">")):
                at = i
                if not last:
                    return at
            elif t == ">" and i + 1 < len(found) and found[i + 1].text == ">" and ">>" in signs and i:
                at = i
            i += 1
        return at

    def _template(self, found, i):
        end = closing_angle(found, i)
        return end > 0 and end + 1 < len(found) and found[end + 1].text in ("(", "<<<", "{", "::")

    def _binary(self, found, level):
        if not found:
            return None
        if level == len(PRECEDENCE):
            return self._unary(found)
        signs = PRECEDENCE[level]
        at = self._find(found, signs, True)
        if at is None or at == 0 or at == len(found) - 1:
            return self._binary(found, level + 1)
        sign, behind = found[at].text, at + 1
        if ">>" in signs and sign == ">":
            sign, behind = ">>", at + 2
        elif (sign == ">" and found[at + 1].text == ">") or (sign == ">" and found[at - 1].text == ">"):
            return self._binary(found, level + 1)
        left, right = self._binary(found[:at], level), self._binary(found[behind:], level + 1)
        a, b = number(left), number(right)
        if sign == "||":
            return 1 if a or b else None if a is None or b is None else 0
        if sign == "&&":
            return 0 if a == 0 or b == 0 else None if a is None or b is None else 1
        if isinstance(left, Pointer) and sign in ("+", "-"):
            return self._moved(left, b)
        return None if a is None or b is None else BINARY[sign](a, b)

    def _moved(self, pointer, steps):
        if not steps:
            return pointer
        item = self.size_of(pointer.item) if pointer.item else 0
        left = None if steps is None or pointer.bytes is None or not item else pointer.bytes - int(steps) * item
        return Pointer(
            pointer.label, left if left and left > 0 else None, pointer.device, True, pointer.zeros, pointer.item, True
        )

    def _unary(self, found):
        t = found[0].text
        if t in ("-", "+", "!", "~") and len(found) > 1:
            v = number(self._unary(found[1:]))
            return None if v is None else {"-": -v, "+": v, "!": int(not v), "~": ~int(v)}[t]
        if t == "&":
            return self.place(found[1:])
        if t == "*":
            v = self._unary(found[1:])
            return v.get() if isinstance(v, Reference) else None
        if t in ("++", "--"):
            target = self.place(found[1:])
            return self._step(target, 1 if t == "++" else -1)
        if found[-1].text in ("++", "--"):
            target = self.place(found[:-1])
            old = target.get() if target else None
            self._step(target, 1 if found[-1].text == "++" else -1)
            return old
        if t == "sizeof":
            return self._sizeof(found[1:])
        if t == "(":
            end = closing(found, 0)
            inside = found[1:end]
            if end + 1 < len(found) and self._is_cast(inside) and found[end + 1].text not in (".", "->", "["):
                value = self._unary(found[end + 1 :])
                kind = written(inside)
                if isinstance(value, Pointer) and "*" in kind and "void" not in kind:
                    value = self._seen_as(value, kind.replace("*", "").strip())
                return self.converted("" if "*" in kind else kind, value)
        if t == "new":
            return self._new(found[1:])
        if t == "[":
            return None  # a lambda
        return self.postfix(found)

    def _seen_as(self, pointer, item):
        """(T*)p: the same memory, its elements another type."""
        pointer.item = pointer.item or item
        return pointer if pointer.item == item else replace(pointer, item=item, of=pointer.of or pointer)

    def _step(self, target, by):
        if target is not None and number(target.get()) is not None:
            target.table[target.key] = target.get() + by
            return target.get()
        return None

    def _is_cast(self, inside):
        if not inside or any(t.kind not in ("word",) and t.text not in ("*", "::", "&", "<", ">") for t in inside):
            return False
        words = [t.text for t in inside if t.kind == "word"]
        if inside[-1].text == "*":
            return True
        return bool(words) and (self.is_type(words[-1]) and self.look(words[-1]) is None)

    def _sizeof(self, found):
        inside = found[1 : closing(found, 0)] if found and found[0].text == "(" else found
        name = written(inside)
        if inside and len(inside) == 1 and (known := self.look(name)) is not None:
            if isinstance(known, Pointer):
                return known.bytes if not known.device and known.bytes else 8
            if isinstance(known, Struct):
                return self.size_of(known.c_type) or None
        size = 8 if name.endswith("*") else self.size_of(name)
        if not size and inside and inside[0].text == "*":
            return self.size_of(getattr(self.evaluate(inside[1:]), "item", "float")) or 4
        return size or (4 if inside and self.look(name) is not None else None)

    def _new(self, found):
        at = next((i for i, t in enumerate(found) if t.text in ("[", "(", "{")), len(found))
        kind = written(found[:at])
        if at < len(found) and found[at].text == "[":
            count = number(self.evaluate(found[at + 1 : closing(found, at)]))
            size = self.size_of(kind)
            return Pointer("new", None if count is None or not size else int(count) * size, False, True, False, kind)
        return None

    def look(self, name: str):
        for table in reversed(self.tables):
            if name in table:
                return table[name]
        return None

    def place(self, found):
        """Where an expression's value lies, None where that is not a name, a member or an element."""
        while found and found[0].text == "(" and closing(found, 0) == len(found) - 1:
            found = found[1:-1]
        if found and found[0].text == "(" and self._is_cast(found[1 : closing(found, 0)]):
            return self.place(found[closing(found, 0) + 1 :])
        if found and found[0].text == "*":
            v = self._unary(found[1:])
            return v if isinstance(v, Reference) else None
        if found and found[0].text == "&":
            return self.place(found[1:])
        if len(found) == 1 and found[0].kind == "word":
            name = found[0].text
            table = next((t for t in reversed(self.tables) if name in t), self.tables[-1])
            return Reference(table, name)
        if len(found) >= 3 and found[-2].text in (".", "->") and found[-1].kind == "word":
            owner = self.place(found[:-2])
            value = owner.get() if owner else None
            if isinstance(value, Reference):
                owner, value = value, value.get()
            if owner is not None and value is None:
                value = owner.table[owner.key] = Struct("")
            if isinstance(value, Struct):
                return Reference(value.members, found[-1].text)
            if isinstance(value, Dim3) and found[-1].text in ("x", "y", "z"):
                return Reference(vars(value), found[-1].text)
        if len(found) >= 4 and found[-1].text == "]":
            opening = next(
                (
                    i
                    for i in range(len(found) - 1, -1, -1)
                    if found[i].text == "[" and closing(found, i) == len(found) - 1
                ),
                None,
            )
            if opening:
                owner = self.place(found[:opening])
                index = number(self.evaluate(found[opening + 1 : -1]))
                value = owner.get() if owner else None
                if isinstance(value, list) and index is not None and 0 <= index < len(value):
                    return Reference(dict(enumerate(value)), int(index))
                if isinstance(value, Pointer) and index == 0:
                    return owner
        return None

    def postfix(self, found: list[Token]):
        """A call, a member, an element, or a name."""
        first = found[0]
        if len(found) == 1:
            return self._atom(first)
        if first.kind == "text":
            return first.text
        at = next((i for i, t in enumerate(found) if t.text == "<<<"), None)
        if at is not None:
            return self.launched(found, at)
        if first.text == "(" and closing(found, 0) == len(found) - 1:
            return self.evaluate(found[1:-1])
        if first.text == "{":
            return [self.evaluate(p) for p in split(found[1 : closing(found, 0)])]
        if first.text in CASTS and found[1].text == "<":
            end = closing_angle(found, 1)
            kind = written(found[2:end])
            value = self.evaluate(found[end + 2 : -1])
            return self.converted("" if "*" in kind else kind, value)
        if found[-1].text == ")":
            opening = next(
                (i for i in range(len(found)) if found[i].text == "(" and closing(found, i) == len(found) - 1), None
            )
            if opening:
                return self.call(found[:opening], found[opening + 1 : -1])
        if found[-1].text == "}" and self.is_type(first.text):
            opening = next(i for i, t in enumerate(found) if t.text == "{")
            return self.constructed(first.text, "", [self.evaluate(p) for p in split(found[opening + 1 : -1])], "")
        if len(found) >= 3 and found[-2].text in (".", "->"):
            owner = self.postfix(found[:-2])
            owner = owner.get() if isinstance(owner, Reference) else owner
            if isinstance(owner, Struct):
                return owner.members.get(found[-1].text)
            if isinstance(owner, Dim3):
                return getattr(owner, found[-1].text, None)
            return None
        if len(found) >= 3 and found[-2].text == "::":
            return self._atom(found[-1])
        place = self.place(found)
        return place.get() if place else None

    def _atom(self, t: Token):
        if t.kind == "number":
            text = t.text.replace("'", "").rstrip("uUlL") if not re.search(r"[.pP]|^\d+[eE]", t.text) else t.text
            try:
                return int(text, 0) if not re.fullmatch(r"0\d+", text) else int(text, 8)
            except ValueError:
                try:
                    return float(t.text.rstrip("fFlL"))
                except ValueError:
                    return None
        if t.kind == "text":
            return t.text
        if t.text in ("true", "false"):
            return int(t.text == "true")
        if t.text in ("NULL", "nullptr"):
            return 0
        known = self.look(t.text)
        if known is None and not any(t.text in table for table in self.tables):
            constant = self.user.enumerator(t.text)
            if constant is not None:
                return constant
            if any(name.rpartition("::")[2] == t.text for name in self.user.kernels):
                return Function(t.text)
        return known

    def call(self, name_tokens: list[Token], inside: list[Token]):
        """The value of a call, and its effect."""
        raise NotImplementedError

    def launched(self, found: list[Token], at: int):
        """A launch: found[at] is its <<<."""
        raise NotImplementedError
