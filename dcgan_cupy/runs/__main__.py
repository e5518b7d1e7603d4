"""python -m dcgan_cupy.runs: the runs in a folder: a table, one of them, or none of one any more."""

import json
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..command import Parser, plain, printable, run
from ..errors import UserError
from . import checkpoint
from .folder import SETTINGS, hold, settings_of

TAIL = 4096  # bytes of a log's end that hold its last line


def parse(arguments: list[str]):
    """The command's flags. Raises: UserError."""
    parser = Parser("runs", "the runs in a folder")
    parser.add_argument("--root", default="runs", help="where the runs lie (default: runs)")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    commands = parser.add_subparsers(
        dest="command", metavar="show|rm", parser_class=lambda **rest: Parser("runs", "", **_named(rest))
    )
    show = commands.add_parser("show", description="all that is known of a run")
    show.add_argument("run", help="its folder, or its name under --root")
    show.add_argument("--json", action="store_true", help="print data")
    remove = commands.add_parser("rm", description="removes a run with all its files")
    remove.add_argument("run", help="its folder, or its name under --root")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args(arguments)


def _named(rest: dict) -> dict:
    rest.pop("prog", None)
    rest.pop("description", None)
    return rest


def summary(path: Path) -> dict:
    """What a table shows of a run: None where something is missing or damaged."""
    try:
        settings = settings_of(path / SETTINGS, "runs")
    except UserError as error:
        return {"name": path.name, "path": str(path), "problem": str(error)}
    last, timing = last_line(path / "log.jsonl"), _json(path / "timing.json")
    kept = checkpoint.found(path / "checkpoints")
    used = settings.get("used") if isinstance(settings.get("used"), dict) else {}
    return {
        "name": path.name,
        "path": str(path),
        "data": settings.get("data"),
        "image_size": settings.get("image_size"),
        "features": [settings.get("features_g"), settings.get("features_d")],
        "batch_size": settings.get("batch_size"),
        "step": last.get("step"),
        "steps": settings.get("steps"),
        "loss_d": last.get("loss_d"),
        "loss_g": last.get("loss_g"),
        "images_per_second": timing.get("images_per_second"),
        "device": used.get("device"),
        "checkpoint": kept[0].name if kept else None,
    }


def last_line(path: Path) -> dict:
    """The last whole line of a log, or nothing."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            lines = [line for line in file.read().split(b"\n") if line.startswith(b"{") and line.endswith(b"}")]
        value = json.loads(lines[-1])
    except (OSError, ValueError, IndexError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _json(path: Path) -> dict:
    try:
        value = json.loads(path.read_bytes()[: 1 << 20])
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def runs(arguments: list[str]) -> None:
    """The command's work."""
    given = parse(arguments)
    root = Path(given.root)
    if given.command == "rm":
        return remove(_path(root, given.run), given.yes)
    if given.command == "show":
        return show(_path(root, given.run), given.json)
    found = sorted(p.parent for p in root.glob(f"*/{SETTINGS}")) if root.is_dir() else []
    rows = [summary(path) for path in found]
    if given.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print(f"no runs in {printable(root)}")
    else:
        _table(rows)


def _table(rows: list[dict]) -> None:
    table = Table(box=None, pad_edge=False)
    for name, right in (
        ("name", 0),
        ("data", 0),
        ("px", 1),
        ("step", 1),
        ("loss D", 1),
        ("loss G", 1),
        ("img/s", 1),
        ("checkpoint", 1),
    ):
        table.add_column(
            name,
            justify="right" if right else "left",
            overflow="fold" if name == "name" else "ellipsis",
            no_wrap=right == 1,
        )
    for row in rows:
        if "problem" in row:
            table.add_row(plain(row["name"]), "settings.json cannot be read")
            continue
        step = f"{row['step'] if row['step'] is not None else '–'}/{row['steps'] or '–'}"
        cells = row["name"], row["data"], row["image_size"], step, _float(row["loss_d"]), _float(row["loss_g"])
        table.add_row(*(plain(c) for c in cells), _float(row["images_per_second"], 0), plain(row["checkpoint"] or "–"))
    Console().print(table, highlight=False)


def _float(value, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"


def show(path: Path, as_json: bool) -> None:
    """Settings, state and checkpoints of one run."""
    kept = []
    for found in checkpoint.found(path / "checkpoints"):
        try:
            checkpoint.look(found)
            kept.append({"step": int(found.name), "whole": True})
        except checkpoint.Damaged as error:
            kept.append({"step": int(found.name), "whole": False, "why": str(error)})
    values = {**summary(path), "checkpoints": kept, "settings": settings_of(path / SETTINGS, "runs")}
    if as_json:
        print(json.dumps(values, indent=2))
        return
    settings = values.pop("settings")
    used = settings.pop("used", {})
    lines = [(name, value) for name, value in values.items() if name != "checkpoints"]
    lines += [("checkpoints", ", ".join(f"{c['step']}{'' if c['whole'] else ' (damaged)'}" for c in kept) or "none")]
    lines += [(f"used.{name}", value) for name, value in used.items()] if isinstance(used, dict) else []
    lines += [(f"--{name.replace('_', '-')}", value) for name, value in settings.items() if value is not None]
    for name, value in lines:
        print(f"{printable(name):<20} {printable(value)}")


def remove(path: Path, yes: bool) -> None:
    """Deletes a run that nobody is writing."""
    settings_of(path / SETTINGS, "runs")
    if path.is_symlink():
        raise UserError(f"runs: rm: need a run's folder, got a link: {path}")
    if not yes:
        if not sys.stdin.isatty():
            raise UserError(f"runs: rm: need --yes where nobody can be asked, got none; {path} stays")
        if input(f"remove {printable(path)} and all in it? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return
    with hold(path):
        shutil.rmtree(path)
    print(f"removed {printable(path)}")


def _path(root: Path, name: str) -> Path:
    for path in (Path(name), root / name):
        if (path / SETTINGS).is_file():
            return path
    raise UserError(f"runs: need a run's folder or its name under {root}, got {name!r}")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run("runs", runs, arguments)


if __name__ == "__main__":
    sys.exit(main())
