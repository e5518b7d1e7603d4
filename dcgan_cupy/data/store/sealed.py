"""JSON that carries its own checksum, so that one altered character is noticed: the lines of a journal, and the note of
an entry."""

import hashlib
import json
import re

END = re.compile(rb', "checksum": "([0-9a-f]{24})"\}\Z')


def seal(fields: dict, before: str = "") -> tuple[bytes, str]:
    """(the text of one line, its checksum). before: the checksum of the line before, so that none can go missing or
    change places."""
    text = json.dumps(fields).encode()
    check = _checksum(text, before)
    return text[:-1] + f', "checksum": "{check}"}}'.encode(), check


def unseal(line: bytes, before: str = "") -> tuple[dict, str] | None:
    """(fields, checksum) of a line that is as it was written, else nothing."""
    end = END.search(line)
    if end is None:
        return None
    text, check = line[: end.start()] + b"}", end[1].decode()
    return (json.loads(text), check) if check == _checksum(text, before) else None


def _checksum(text: bytes, before: str) -> str:
    return hashlib.blake2b(before.encode() + text, digest_size=12).hexdigest()
