"""What a kernel's text may bring in: CUDA's headers, the C library's, files of its own folder."""

import re

from ..device import source
from ..errors import UserError
from .ir import OURS

DIRECTIVE = re.compile(r"^[ \t]*(?:#|%:)[ \t]*(include|include_next|import|embed|line|\d+)\b(.*)$")


def need_own_includes(file: str, text: str) -> None:
    """Raises: UserError for an include that names a path or no header, and for a #line that pretends to be ours."""
    code, plain = source.strip_comments(text).splitlines(), text.splitlines()
    where, number = file, 0
    for index, line in enumerate(code):
        number += 1
        match = DIRECTIVE.match(line)
        if match is None:
            continue
        given = plain[index].partition(match[1])[2].strip()
        if match[1] == "line" or match[1].isdecimal():
            if named := re.search(r'"([^"]*)"', given):
                where = named[1]
                if OURS.search(where):
                    raise UserError(f"{file}: include: need lines of the file's own, got #line for {where}")
            at = re.match(r"\d+", given) if match[1] == "line" else re.match(r"\d+", match[1])
            number = int(at[0]) - 1 if at else number
        elif match[1] != "include" or not re.match(r"<(?!/)(?!.*\.\.)[\w./+-]+>", given):
            raise UserError(
                f"{where}:{number}: include: need CUDA's headers or files of the text's own folder, got {match[1]}"
                f" {given}"
            )
