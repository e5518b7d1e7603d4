"""C++ text as tokens that remember their line: what the reading of a stranger's file is built on."""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<mark>^[ \t]*\#[^\n]*)
    | (?P<space>\s+)
    | (?P<text>(?:u8|u|U|L)?R"(?P<end>[^()\s]{0,16})\(.*?\)(?P=end)"
             | (?:u8|u|U|L)?"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])+')
    | (?P<number>\.?\d(?:[eEpP][+-]|'(?=\w)|[\w.])*)
    | (?P<word>[A-Za-z_$]\w*)
    | (?P<sign><<<|>>>|::|->|\+\+|--|<<=|<=|>=|==|!=|&&|\|\||<<|\+=|-=|\*=|/=|%=|&=|\|=|\^=|\.\.\.|.)""",
    re.X | re.M | re.S,
)
LINE = re.compile(r'\s*#\s*(?:line\s+)?(\d+)\s+"((?:\\.|[^"\\])*)"')
PAIRS = {"(": ")", "[": "]", "{": "}", "<<<": ">>>"}


@dataclass(frozen=True, slots=True)
class Token:
    """kind: word, number, text, sign or mark (a preprocessor's line). start, end: where it stands in the whole text."""

    kind: str
    text: str
    start: int
    end: int
    file: str
    line: int


def unescaped(name: str) -> str:
    """A file's name as clang writes it between quotes: bytes beyond ASCII in octal."""
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), name.encode())
    return re.sub(r"\\(.)", r"\1", raw.decode(errors="replace"))


def tokens(text: str) -> list[Token]:
    """All tokens of a preprocessed text, its `# 12 "file"` lines followed."""
    made, file, line, at = [], "", 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        kind = match.lastgroup if match.lastgroup != "end" else "text"
        if kind == "space":
            continue
        if kind == "mark":
            if found := LINE.match(match[0]):
                line, file = int(found[1]) - 1, unescaped(found[2])
            elif re.match(r"\s*#\s*pragma\b", match[0]):
                made.append(Token("mark", match[0], match.start(), match.end(), file, line))
            continue
        made.append(Token(kind, match[0], match.start(), match.end(), file, line))
    return made


def closing(found: list[Token], at: int) -> int:
    """The token that closes the bracket at `at`; the last one where none does."""
    depth, left = 0, found[at].text
    right = PAIRS[left]
    for i in range(at, len(found)):
        depth += (found[i].text == left) - (found[i].text == right)
        if depth == 0:
            return i
    return len(found) - 1


def closing_angle(found: list[Token], at: int) -> int:
    """The `>` that closes the template list opened at `at`, or -1 where `<` is a comparison."""
    depth, i = 0, at
    while i < len(found):
        t = found[i].text
        if t in ("(", "[", "{"):
            i = closing(found, i)
        elif t == "<":
            depth += 1
        elif t in (">", ">>", ">>>"):
            depth -= len(t)
            if depth <= 0:
                return i
        elif t in (";", "&&", "||") or t in (")", "]", "}"):
            return -1
        i += 1
    return -1


def split(found: list[Token], sign: str = ",") -> list[list[Token]]:
    """Parts between the signs that stand in no bracket."""
    parts, part, i = [], [], 0
    while i < len(found):
        t = found[i].text
        if t == sign:
            parts.append(part)
            part = []
        elif t in PAIRS:
            end = closing(found, i)
            part += found[i : end + 1]
            i = end
        elif t == "<" and sign == "," and i and found[i - 1].kind == "word" and (end := closing_angle(found, i)) > 0:
            part += found[i : end + 1]
            i = end
        else:
            part.append(found[i])
        i += 1
    return [*parts, part] if part or parts else []


def written(found: list[Token]) -> str:
    """The tokens as text again, words kept apart."""
    made = ""
    for t in found:
        joins = made and (made[-1].isalnum() or made[-1] == "_") and (t.text[0].isalnum() or t.text[0] == "_")
        made += (" " if joins else "") + t.text
    return made
