"""dcgan-cupy import: a run made of weights from elsewhere, to sample from, export or train on."""

import hashlib
import sys
from pathlib import Path

from .choices import LATENTS
from .command import Parser, printable, run
from .config import PRIORS
from .errors import UserError
from .runs.imported import look, make
from .runs.shapes import OWNERS, described
from .runs.weights import load_weights

SHARED = ("image_size", "channels", "n_classes")  # what G and D must agree on


def parse(arguments: list[str]):
    """The command's flags. Raises: UserError."""
    parser = Parser(
        "import",
        "a run made of weights from elsewhere: the seeds' network or PyTorch's example, its sizes read from them",
        prog="dcgan-cupy import",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="G's weights, D's or both: .npz, .safetensors, .pth, .onnx"
    )
    parser.add_argument("--out", required=True, metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--z",
        choices=LATENTS,
        help="prior of z (default: uniform for the seeds' network, normal for PyTorch's example)",
    )
    parser.add_argument("--force", action="store_true", help="write over a run that is there")
    return parser.parse_args(arguments)


def bring_in(arguments: list[str]) -> None:
    """Reads, checks and writes."""
    given = parse(arguments)
    out = Path(given.out)
    look(out, given.force)
    found = {}
    for file in given.files:
        weights = load_weights(file, "import: FILE")
        network = described("import: FILE", weights, file)
        if network.part in found:
            raise UserError(f"import: FILE: need one {network.part}, got two: {found[network.part][2]} and {file}")
        found[network.part] = network, weights, file
    sizes = _together(found)
    kind = next(iter(found.values()))[0].network
    settings = {"network": kind, "z": given.z or PRIORS[kind], "conditional": "n_classes" in sizes, **sizes}
    origin = {part: {"file": str(file), "sha256": _sum(file)} for part, (_, _, file) in found.items()}
    make(out, settings, {part: weights for part, (_, weights, _) in found.items()}, origin, given.force)
    facts = ", ".join(f"{name} {value}" for name, value in sizes.items())
    print(f"{' and '.join(found)} of {OWNERS[kind]} ({facts}, z {settings['z']}): {printable(out)}")


def _together(found: dict) -> dict:
    """The sizes of both.   Raises: UserError if they are of two games."""
    if len(found) == 2:
        (g, _, g_file), (d, _, d_file) = found["generator"], found["discriminator"]
        if g.network != d.network:
            raise UserError(
                f"import: FILE: need G and D of one network, got {OWNERS[g.network]} in {g_file} and"
                f" {OWNERS[d.network]} in {d_file}"
            )
        for name in SHARED:
            ours, theirs = g.sizes.get(name, "none"), d.sizes.get(name, "none")
            if ours != theirs:
                raise UserError(
                    f"import: FILE: need one {name} for G and D, got {ours} in {g_file} and {theirs} in {d_file}"
                )
    return {name: value for network, _, _ in found.values() for name, value in network.sizes.items()}


def _sum(file: str) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run("import", bring_in, arguments)


if __name__ == "__main__":
    sys.exit(main())
