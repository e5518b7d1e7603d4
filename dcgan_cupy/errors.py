"""The one kind of error that is the user's to mend: commands print it as a single sentence and exit with code 2."""


class UserError(ValueError):
    """Something the user gave cannot be used. The message reads `where: argument: need this, got that`."""
