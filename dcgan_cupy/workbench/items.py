"""A preprocessed CUDA text, cut into what stands at the level of the file: functions, types, variables, namespaces."""

import re
from dataclasses import dataclass, field

from .tokens import Token, closing, closing_angle, split

QUALIFIERS = {"__device__", "__global__", "constexpr", "__constant__", "__managed__", "__shared__", "consteval"}
NOT_NAMES = {
    "__launch_bounds__",
    "__attribute__",
    "__align__",
    "__builtin_align__",
    "__declspec",
    "alignas",
    "decltype",
    "noexcept",
    "__cluster_dims__",
    "__maxnreg__",
    "__block_size__",
    "requires",
    "explicit",
    "throw",
}
TAGS = ("struct", "class", "union", "enum")


@dataclass
class Item:
    """One declaration. kind: function, type, variable, alias, using or pragma; scope: the namespaces around it."""

    kind: str
    names: list[str]
    scope: tuple[str, ...]
    tokens: list[Token]
    head: list[Token] = field(default_factory=list)  # of a function: all before its parameters
    parameters: list[Token] = field(default_factory=list)
    body: list[Token] = field(default_factory=list)
    template: list[Token] = field(default_factory=list)  # what stands between its < and >
    is_template: bool = False
    defined: bool = False  # a function with a body, be it empty

    @property
    def words(self) -> set[str]:
        return {t.text for t in self.tokens if t.kind == "word"}

    @property
    def is_kernel(self) -> bool:
        return self.kind == "function" and any(t.text == "__global__" for t in self.head)

    @property
    def on_device(self) -> bool:
        """Whether a kernel may use it."""
        head = {t.text for t in (self.head if self.kind == "function" else self.tokens)}
        if self.kind == "function":
            return bool(head & QUALIFIERS)
        if self.kind == "variable":
            return bool(head & (QUALIFIERS | {"const", "texture", "surface"}))
        return True


def items(found: list[Token]) -> list[Item]:
    """The declarations of a text, in its order, those of namespaces and `extern "C"` blocks with the rest."""
    made: list[Item] = []
    _read(found, 0, len(found), (), made)
    return made


def _read(found, at, end, scope, made):
    while at < end:
        t = found[at].text
        if t in (";", "}", ")"):
            at += 1
        elif found[at].kind == "mark":
            made.append(Item("pragma", [], scope, [found[at]]))
            at += 1
        elif t in ("namespace", "inline") and (opened := _namespace(found, at, end)):
            name, brace = opened
            close = min(closing(found, brace), end)
            _read(found, brace + 1, close, (*scope, *name), made)
            at = close + 1
        elif t == "namespace" and at + 2 < end and found[at + 2].text == "=":
            stop = _until(found, at, end)
            made.append(Item("alias", [found[at + 1].text], scope, found[at:stop]))
            at = stop
        elif t == "extern" and at + 2 < end and found[at + 1].kind == "text" and found[at + 2].text == "{":
            close = min(closing(found, at + 2), end)
            _read(found, at + 3, close, scope, made)
            at = close + 1
        elif t in ("using", "typedef", "static_assert"):
            stop = _until(found, at, end)
            part = found[at:stop]
            if t == "using":
                kind = "using" if part[1].text == "namespace" else "alias"
                name = part[1].text if any(p.text == "=" for p in part) else part[-2].text
                made.append(Item(kind, [name], scope, part))
            elif t == "typedef":
                made.append(Item("type", _typedef_names(part), scope, part))
            at = stop
        else:
            at = _declaration(found, at, end, scope, made)


def _namespace(found, at, end):
    at += found[at].text == "inline"
    if at >= end or found[at].text != "namespace":
        return None
    name, at = [], at + 1
    while at < end and (found[at].kind == "word" or found[at].text in ("::", "[")):
        if found[at].text == "[":
            at = closing(found, at)
        elif found[at].kind == "word" and found[at].text != "inline":
            name.append(found[at].text)
        at += 1
    return (name, at) if at < end and found[at].text == "{" else None


def _until(found, at, end):
    """Behind the `;` that ends what begins at `at`."""
    while at < end and found[at].text != ";":
        at = closing(found, at) + 1 if found[at].text in ("(", "[", "{") else at + 1
    return min(at + 1, end)


def _typedef_names(part):
    if function := [i for i in range(len(part) - 2) if part[i].text == "(" and part[i + 1].text == "*"]:
        return [part[function[0] + 2].text]
    inner, names, i = [], [], 1
    while i < len(part):
        if part[i].text == "{":
            names += _enumerators(part[:i], part[i + 1 : closing(part, i)])
            i = closing(part, i) + 1
            continue
        inner.append(part[i])
        i += 1
    for piece in split(inner[:-1]):
        words = [p.text for p in piece[: next((i for i, p in enumerate(piece) if p.text == "["), None)]]
        names += [w for w in words[-1:] if re.match(r"\w", w)]
    tags = [i for i, p in enumerate(part) if p.text in TAGS]
    return names + [part[i + 1].text for i in tags[:1] if i + 1 < len(part) and part[i + 1].kind == "word"]


def _enumerators(before, inside):
    if not any(t.text == "enum" for t in before):
        return []
    return [piece[0].text for piece in split(inside) if piece]


def _declaration(found, at, end, scope, made):
    """A function, a type or variables. Returns where the next item begins."""
    start, template, is_template = at, [], False
    while at < end and found[at].text == "template":
        if at + 1 < end and found[at + 1].text != "<":  # an explicit instance: the host's affair
            return _until(found, at, end)
        close = closing_angle(found, at + 1)
        if close < 0:
            return _until(found, at, end)
        template, is_template, at = template or found[at + 2 : close], True, close + 1
    name, opened, tagged, assigned, i = None, None, None, False, at
    while i < end:
        t = found[i].text
        if t == ";":
            break
        if t in TAGS and tagged is None and name is None and not assigned:
            tagged = i
        elif t == "=":
            assigned = assigned or name is None or opened is not None
        elif t == "[":
            i = closing(found, i)
        elif t == "<" and name is None and i and found[i - 1].kind == "word" and not assigned:
            if (close := closing_angle(found, i)) > 0:
                i = close
        elif t == "(":
            close = closing(found, i)
            before = found[i - 1] if i > start else None
            if before is not None and before.text == "operator":  # operator()(…)
                i, name, opened = close + 1, "operator", close + 1
                i = closing(found, i) if i < end and found[i].text == "(" else i
            elif opened is None and not assigned and before is not None:
                named = _function_name(found, at, i)
                if named and named not in NOT_NAMES:
                    name, opened = named, i
                i = close
            else:
                i = close
        elif t == "{":
            close = closing(found, i)
            if opened is not None and not assigned:
                function = found[start : close + 1]
                made.append(
                    Item(
                        "function",
                        [name],
                        scope,
                        function,
                        found[at:opened],
                        found[opened + 1 : closing(found, opened)],
                        found[i + 1 : close],
                        template,
                        is_template,
                        True,
                    )
                )
                return close + 1
            i = close
        i += 1
    stop, part = min(i + 1, end), found[start : min(i + 1, end)]
    if (opened is not None and not assigned and tagged is None) or (
        opened is not None and _is_prototype(found, at, opened)
    ):
        made.append(
            Item(
                "function",
                [name or ""],
                scope,
                part,
                found[at:opened],
                found[opened + 1 : closing(found, opened)],
                [],
                template,
                is_template,
            )
        )
    elif tagged is not None:
        made.append(
            Item("type", _tag_names(found, tagged, stop), scope, part, template=template, is_template=is_template)
        )
    elif part:
        made.append(Item("variable", variable_names(found[at:stop]), scope, part, template=template))
    return max(stop, start + 1)


def _is_prototype(found, at, opened):
    return any(t.text in ("__global__", "__device__") for t in found[at:opened])


def _function_name(found, at, opening):
    """The word before a parameter list: a function's name, or None where the parenthesis is of an attribute."""
    i = opening - 1
    if found[i].text in (">", ">>"):  # f<int>(…): a specialisation
        depth = 0
        while i > at:
            depth += {">": 1, ">>": 2, "<": -1}.get(found[i].text, 0)
            if depth <= 0:
                break
            i -= 1
        i -= 1
    for j in range(i, max(at - 1, i - 4), -1):
        if found[j].text == "operator":
            return "operator"
    return found[i].text if found[i].kind == "word" else None


def _tag_names(found, tagged, stop):
    i, names = tagged + 1, []
    if i < stop and found[i].text in ("class", "struct"):
        i += 1
    while i < stop and found[i].text in ("__align__", "alignas", "__attribute__", "__builtin_align__"):
        i = closing(found, i + 1) + 1
    if i < stop and found[i].kind == "word":
        names.append(found[i].text)
    for j in range(i, stop):
        if found[j].text == "{":
            close = closing(found, j)
            names += _enumerators(found[tagged:j], found[j + 1 : close])
            return names + variable_names(found[close + 1 : stop], True)
        if found[j].text == ";":
            break
    return names + variable_names(found[i:stop])


def variable_names(part, bare: bool = False):
    """Names that a declaration's declarators give: `float* a = x, b[4];` gives a and b."""
    names, i, last = [], 0, None
    seen = bare
    while i < len(part):
        t = part[i]
        if t.text in ("=", ";", ",", "[", "{", "("):
            if last is not None and seen and last.text not in NOT_NAMES:
                names.append(last.text)
                seen = t.text in (",", ";") or False
            if t.text in ("[", "{", "("):
                i = closing(part, i)
            if t.text == "=":
                while i + 1 < len(part) and part[i + 1].text not in (",", ";"):
                    i = closing(part, i + 1) if part[i + 1].text in ("(", "[", "{") else i + 1
            if t.text == ",":
                seen = True
            last = None
        elif t.text == "<" and last is not None and (close := closing_angle(part, i)) > 0:
            i, last = close, None
            seen = True
        elif t.kind == "word":
            seen = seen or last is not None
            last = t
        elif t.text in ("*", "&", ":", "::"):
            seen = True
        i += 1
    return list(dict.fromkeys(names))
