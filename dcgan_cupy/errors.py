"""The one kind of error that is the user's to mend: commands print it as a single sentence and exit with code 2."""


class UserError(ValueError):
    """Something the user gave cannot be used. The message reads `where: argument: need this, got that`."""


def printable(text) -> str:
    """A text from outside: what is no printable character becomes an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in str(text))
