"""What every command shares: flags refused in one sentence, exit codes, and texts from outside made harmless."""

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.markup import escape

from .device import KernelError
from .errors import UserError, printable


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are UserErrors: `sample: … (see --help)`."""

    def __init__(self, name: str, description: str, **rest):
        rest = {"prog": f"python -m dcgan_cupy.{name}", **rest}
        super().__init__(description=description, allow_abbrev=False, **rest)
        self.name = name

    def error(self, message):
        raise UserError(f"{self.name}: {message} (see --help)")


def number(kind, least=None, below=None) -> Callable:
    """For add_argument(type=…): an int or a float in [least, below)."""

    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"need {what}, got {text!r}") from None
        if not ((least is None or value >= least) and (below is None or value < below)):
            limits = [
                f"at least {least}" if least is not None else "",
                f"less than {below}" if below is not None else "",
            ]
            raise argparse.ArgumentTypeError(f"need {' and '.join(filter(None, limits))}, got {text}")
        return value

    return convert


def plain(text) -> str:
    """A text from outside for the console:

    No markup in it is obeyed, and what is no printable character becomes an escape.
    """
    return escape(printable(text))


def refuse_existing(where: str, path: Path, force: bool) -> None:
    """Raises: UserError if there is something already and nobody said --force, or if its folder is not there."""
    if path.exists() and not force:
        raise UserError(f"{where}: need a name that is free, got {path} (--force writes over it)")
    if not path.parent.is_dir():
        raise UserError(f"{where}: need a name in a folder that exists, got {path}")
    if not os.access(path if path.is_dir() else path.parent, os.W_OK):
        raise UserError(f"{where}: need a folder that can be written, got {path.parent}")


def write_in_any_terminal() -> None:
    """From now on a character that the terminal's encoding lacks is printed as an escape: it is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")


def _cut(text: str, most: int = 1000) -> str:
    """A text with its middle left out, where a name in it is longer than anybody reads."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def run(name: str, work: Callable[[list[str]], int | None], arguments: list[str] | None = None) -> int:
    """Runs a command's work(arguments). Exit codes: 0 done, 1 failed while running, 2 wrong use, 130 interrupted."""
    write_in_any_terminal()
    try:
        return work(sys.argv[1:] if arguments is None else arguments) or 0
    except UserError as error:
        print(_cut(printable(error)), file=sys.stderr)
        return 2
    except KernelError as error:
        print(f"{name}: kernel error: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(
            f"{name}: memory: need more than is free: {error}; try a smaller batch or fewer features", file=sys.stderr
        )
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = _cut(printable(error.filename or "files"), 200)
        print(f"{name}: {where}: need to read and write, got: {error.strerror or error}", file=sys.stderr)
        return 2 if error.errno == errno.ENAMETOOLONG else 1  # what was given, not what happened
    except KeyboardInterrupt:
        print("interrupted; what was not saved yet is lost", file=sys.stderr)
        return 130
