"""python -m dcgan_cupy.export: the weights of a run for other programs, G and D, as files of a kind they read.

Or a page that draws with G in a browser.
"""

import sys
from pathlib import Path

from . import device as devices
from .choices import EXPORTS, NETWORKS
from .command import Parser, printable, refuse_existing, run
from .errors import UserError
from .runs.files import write_whole
from .runs.model import AVERAGED, load, read
from .runs.page import html, need_page
from .runs.shapes import described, renamed
from .runs.writers import can_write, write

PARTS = ("generator", "discriminator", "generator_ema")
DEFAULT = "safetensors"


def parse(arguments: list[str]):
    """The command's flags. Raises: UserError."""
    parser = Parser("export", "the weights of G and D as files for other programs, or a page that draws with G")
    parser.add_argument(
        "source", metavar="RUN", help="a run's folder (its newest checkpoint), a checkpoint, or a file of weights"
    )
    parser.add_argument(
        "--to", choices=EXPORTS, help=f"kind of file (default: what --out ends in, else {DEFAULT}); pth needs PyTorch"
    )
    parser.add_argument(
        "--names",
        choices=NETWORKS,
        help="parameter names: of the seeds' nn.Module, or of PyTorch's examples/dcgan (default: the network's own)",
    )
    parser.add_argument("--only", choices=PARTS, help="one network (default: all that there are)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--out",
        metavar="PATH",
        help="a folder, for generator.KIND and discriminator.KIND; or for one network a file's name",
    )
    where.add_argument(
        "--page",
        metavar="FILE.html",
        help="instead: one HTML file in which a browser runs G's kernels, offline (--only generator where there is an "
        "average: the last step's weights)",
    )
    parser.add_argument(
        "--half", action="store_true", help="of a page: convolutions' weights as float16, half as many bytes"
    )
    parser.add_argument("--force", action="store_true", help="write over what is there")
    return parser.parse_args(arguments)


def export(arguments: list[str]) -> None:
    """Writes."""
    given = parse(arguments)
    if given.page is not None:
        export_page(given)
        return
    if given.half:
        raise UserError("export: --half: need --page, whose weights it rounds, got none")
    out = Path(given.out)
    suffix = out.suffix.lower().removeprefix(".")
    one = suffix in EXPORTS and not out.is_dir()
    kind = given.to or (suffix if one else DEFAULT)
    if one and suffix != kind:
        raise UserError(f"export: --out: need a name that ends in .{kind}, or a folder's, got {out}")
    can_write("export: --to", kind)
    if not one:
        _refuse_no_folder(out)
    found = read("export: RUN", given.source)
    parts = [given.only] if given.only else [part for part in PARTS if part in found.networks]
    if missing := [part for part in parts if part not in found.networks]:
        raise UserError(
            f"export: --only: need one of {', '.join(found.networks)}, got {missing[0]}, not in {found.source}"
        )
    if one and len(parts) > 1:
        raise UserError(f"export: --out: need a folder for {' and '.join(parts)} (or --only one), got {out}")
    targets = {part: out if one else out / f"{part}.{kind}" for part in parts}
    made = {}
    for part, target in targets.items():
        if one or out.exists():
            refuse_existing("export: --out", target, given.force)
            if target.is_dir():
                raise UserError(f"export: --out: need a file's name, got {target}, a folder")
        network = described("export: RUN", found.networks[part], found.source)
        names = given.names or network.network
        weights = renamed("export: --names", network, found.networks[part], names, found.source)
        made[target] = described("export: RUN", weights, found.source), weights
    if not one:
        out.mkdir(exist_ok=True)
    for target, (network, weights) in made.items():
        write(target, kind, network, weights)
        numbers = sum(a.size for a in weights.values())
        print(f"{numbers} numbers of {printable(found.source)}: {printable(target)}")


def export_page(given) -> None:
    """Writes the page."""
    out = Path(given.page)
    for flag, value in (("--to", given.to), ("--names", given.names)):
        if value:
            raise UserError(
                f"export: {flag}: need none beside --page, which holds no file for other programs, got {value}"
            )
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"export: --page: need a name that ends in .html, got {out}")
    if given.only == "discriminator":
        raise UserError("export: --only: need generator or generator_ema for a page, got discriminator")
    refuse_existing("export: --page", out, given.force)
    if out.is_dir():
        raise UserError(f"export: --page: need a file's name, got {out}, a folder")
    which = {None: None, "generator": "last", AVERAGED: "ema"}[given.only]
    model = load("export: RUN", given.source, which)
    need_page("export: --page", model, given.half)
    text, about = html("export: --page", model, devices.get("auto"), given.half)
    write_whole(out, text.encode())
    print(f"{printable(model.source)}: {printable(out)}, {about}")


def _refuse_no_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"export: --out: need a folder, or a name that ends in {', '.join(EXPORTS)}, got {out}, a file")
    if not out.exists():
        refuse_existing("export: --out", out, False)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run("export", export, arguments)


if __name__ == "__main__":
    sys.exit(main())
