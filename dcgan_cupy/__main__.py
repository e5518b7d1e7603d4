"""dcgan-cupy, or python -m dcgan_cupy: one command for all."""

import difflib
import importlib
import sys

from . import __version__

COMMANDS = {
    "train": ("train", "train a DCGAN; without a flag it learns to draw faces, in minutes"),
    "sample": ("sample", "images out of a run, as a grid or as single files"),
    "walk": ("walk", "a path through the latent space, as a strip or an animation"),
    "export": ("export", "the weights of a run as files for other programs"),
    "import": ("import_weights", "a run made of weights from elsewhere"),
    "runs": ("runs.__main__", "the runs there are: a table, one of them, or remove one"),
    "data": ("data.__main__", "what a dataset is, made ready before training, looked at, fetched"),
    "learn": ("learn.command", "exercises in CUDA, judged without a GPU"),
    "inspect": ("inspect", "what a kernel does wrong, and what it costs"),
}
"""Name -> (module with a main(arguments), what it does)."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand. Exit codes are its own; 2 for one that does not exist."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        print("usage: dcgan-cupy COMMAND …      (dcgan-cupy COMMAND --help tells more)\n")
        for command, (_, what) in COMMANDS.items():
            print(f"  {command:<10}{what}")
        return 0
    if name == "--version":
        print(f"dcgan-cupy {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"; {near[0]}?" if near else ""
        print(f"dcgan-cupy: need one of {', '.join(COMMANDS)}, got {name!r}{hint}", file=sys.stderr)
        return 2
    return importlib.import_module(f"dcgan_cupy.{COMMANDS[name][0]}").main(rest)


if __name__ == "__main__":
    sys.exit(main())
