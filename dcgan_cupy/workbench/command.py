"""python -m dcgan_cupy.inspect: what a kernel does wrong, and what it costs. See --help."""

import argparse
import contextlib
import json
import os
import re
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from ..changes import changes
from ..choices import RUNGS
from ..command import write_in_any_terminal
from ..device import source
from ..errors import UserError
from ..machine import cores
from . import page, tables
from .cards import CARDS
from .cases import CASES, run_case, sweep
from .check_device import CheckDevice
from .expect_ours import compared
from .symbols import symbol_values
from .user_kernel import Wanted, parse_macros, parse_size
from .user_run import launched
from .user_source import UserFile
from .watch import History

EXAMPLES = """examples:
  python -m dcgan_cupy.inspect conv2d_forward --rung tiled
      one of our kernels, at a default shape
  python -m dcgan_cupy.inspect conv2d_forward --rung textbook --shape n=2,h=9,w=8,ic=3,oc=5 --html conv.html
  python -m dcgan_cupy.inspect my.cu:my_kernel --grid 4 --block 256 --arg x=f32[1024] --arg y=f32[1024]:empty \\
      --arg n=1024
  python -m dcgan_cupy.inspect --all
      every kernel, every rung, edge-stressing shapes

arrays: f32[32,64] i32[…] u8[…] bf16[…] … are filled with seeded random values; f32[64]:empty holds nothing yet, so
that a read of what nothing wrote is seen; @file.npy; null. Scalars are numbers.
Exit code: 0 no error (warnings may be), 1 errors found, 2 wrong use, 3 the launch did not come to its end: it crashed,
hung at a barrier, or ran out of time (3 goes before 1)."""


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m dcgan_cupy.inspect",
        description=(
            "A compute-sanitizer and a profiler for CUDA kernels, "
            "on a machine without a GPU: the kernel runs on the CPU, every access watched."
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("kernel", nargs="?", help="a kernel or operation of ours (conv2d_forward), or file.cu:kernel")
    p.add_argument("--rung", help=f"of a convolution: {', '.join(RUNGS)} (default tiled)")
    p.add_argument(
        "--shape", default="", help="sizes of the operation, such as n=2,h=9,w=8; the others keep their defaults"
    )
    p.add_argument("--grid", help="blocks of a file's kernel: 4 or 4,2")
    p.add_argument(
        "--block",
        help="threads of a block: 256 or 16,16. Of our own kernels: only those whose blocks are one row of any length",
    )
    p.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help="a parameter of a file's kernel")
    p.add_argument(
        "--symbol",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a __device__ or __constant__ variable of the file: its values at the start, as --arg takes them",
    )
    p.add_argument("--macro", action="append", default=[], metavar="NAME=VALUE", help="defined before the file's text")
    p.add_argument(
        "--launch", action="store_true", help="take grid, block, sizes and constants from the file's own host code"
    )
    p.add_argument(
        "--expect",
        metavar="WHAT",
        help="what a file's kernel should compute: y=@y.npy, reference.py:function, or a kernel as file.cu:kernel",
    )
    p.add_argument("--shared-bytes", type=int, default=None, help="dynamic shared memory of a file's kernel")
    p.add_argument(
        "--tiles", choices=("gpu", "cpu"), default="gpu", help="whose tile constants our kernels take (default gpu)"
    )
    p.add_argument("--gpu", default="h200", help=f"the card of the roofline: {', '.join(CARDS)} (default h200)")
    p.add_argument("--warp", metavar="BLOCK:WARP", help="whose access patterns to show (default: the costliest)")
    p.add_argument(
        "--html", metavar="FILE", help="write a page: the source with its costs, patterns as pictures, the roofline"
    )
    p.add_argument("--json", action="store_true", help="print data instead of tables")
    p.add_argument(
        "--all", action="store_true", help="sweep every kernel and rung over edge-stressing shapes, correctness only"
    )
    p.add_argument("--quick", action="store_true", help="with --all: fewer shapes")
    p.add_argument(
        "--fail-on",
        choices=("error", "warning"),
        default="error",
        help="the mildest finding that makes the exit code 1 (default error)",
    )
    p.add_argument(
        "--watch",
        action="store_true",
        help="again whenever the file changes, until Ctrl-C: what became better or worse since the last run",
    )
    p.add_argument("--seed", type=int, default=1, help="of the random values")
    p.add_argument("--seconds", type=float, default=600, help="the longest a launch may take (default 600)")
    return p


def split_name(text: str) -> tuple[str, str]:
    """FILE.cu:KERNEL in two; the kernel may be ns::name<4>."""
    at = text.index(".cu")
    behind = text.find(":", at)
    return (text, "") if behind < 0 else (text[:behind], text[behind + 1 :])


def parse_shape(text: str) -> dict[str, int]:
    """n=2,h=9 as a dict."""
    shape = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if not value.isdecimal() or not name.isidentifier():
            raise UserError(f"inspect: --shape: need sizes such as n=2,h=9, got {part!r}")
        shape[name] = int(value)
    return shape


def own_reports(dev, name: str, shape: dict, rung: str | None, seed: int) -> list:
    """The launches of one of our kernels:

    Of the operation with its name, or of the first operation that launches it.
    """
    if rung is not None and rung not in RUNGS:
        raise UserError(f"inspect: --rung: need one of {', '.join(RUNGS)}, got {rung!r}")
    if name in CASES:
        rungs = CASES[name].rungs
        if rung is not None and not rungs:
            raise UserError(f"inspect: --rung: need a convolution or a sum by channel for a rung, got {name}")
        if rung is not None and rung not in rungs:
            raise UserError(f"inspect: --rung: need one of {', '.join(rungs)} for {name}, got {rung}")
        return _compared(dev, CASES[name], shape, rung or "", seed)
    paths = sorted(source.KERNELS.rglob("*.cu"))
    ours = {
        kernel
        for path in paths
        for kernel in source.signatures(source.load(path.relative_to(source.KERNELS).as_posix()))
    }
    if name not in ours:
        raise UserError(
            f"inspect: kernel: need file.cu:kernel or one of ours ({', '.join(sorted(ours | set(CASES)))}), got"
            f" {name!r}"
        )
    for case in CASES.values():
        for edge in [{}, *case.edges[:2]]:
            dev.costs = False
            if any(r.kernel == name for r in run_case(dev, case, edge, rung or "", seed=seed)):
                dev.costs = True
                return [r for r in _compared(dev, case, {**edge, **shape}, rung or "", seed) if r.kernel == name]
    raise UserError(f"inspect: kernel: need one that an operation launches on this shape and rung, got {name!r}")


def _compared(dev, case, shape: dict, rung: str, seed: int) -> list:
    """An operation's reports; its values are compared with its definition in float64."""
    with compared(dev, case.name) as values:
        reports = run_case(dev, case, shape, rung, seed=seed)
    for report in reports:
        report.values = values
    return reports


def run_user_kernels(dev: CheckDevice, wanted: Wanted) -> list:
    """Launches the kernel that is asked for once, or every kernel of the file where none is named; their Reports."""
    macros = parse_macros(wanted.macros)
    user = UserFile(wanted.file, macros)
    if not wanted.symbol and len(user.own_kernels) > 1 and (wanted.launch or not wanted.given):
        reports, refused = [], []
        for name in user.own_kernels:
            try:
                reports.append(launched(dev, user, wanted, name, ""))
            except UserError as error:
                refused.append(error)
        if not reports:
            raise refused[0]
        for error in refused:
            reports[0].notes.append(f"left out: {error}")
        return reports
    name = user.kernel(wanted.symbol)
    inner = wanted.symbol[wanted.symbol.index("<") + 1 : wanted.symbol.rindex(">")] if "<" in wanted.symbol else ""
    return [launched(dev, user, wanted, name, inner)]


def _swept(kind: str, quick: bool, seconds: float):
    """The sweep with one kind of tiles: findings, the number of launches, kernels, whether all came to their ends."""
    findings, launches, kernels, complete = [], 0, set(), True
    dev = CheckDevice(kind, costs=False, seconds=seconds, alone=False)
    for name, shape, reports in sweep(dev, quick):
        for r in reports:
            complete &= r.complete
            launches += 1
            kernels.add((r.file, r.kernel))
            findings += [(name, {**shape, "tiles": kind}, f) for f in r.findings]
        if sys.stderr.isatty():
            print(f"\r{kind} tiles: {name:40s}", end="", file=sys.stderr, flush=True)
    return findings, launches, kernels, complete


def run_all(options) -> int:
    """The sweep, each kind of tiles in a process of its own where there are two cores. Returns the exit code."""
    rest = [options.quick] * 2, [options.seconds] * 2
    if cores() > 1:
        with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
            parts = list(pool.map(_swept, ("gpu", "cpu"), *rest))
    else:
        parts = list(map(_swept, ("gpu", "cpu"), *rest))
    findings = [f for part in parts for f in part[0]]
    launches, kernels = sum(part[1] for part in parts), set().union(*(part[2] for part in parts))
    complete = all(part[3] for part in parts)
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    if options.json:
        print(
            json.dumps(
                {
                    "findings": [{**tables.finding_data(f), "operation": n, "shape": s} for n, s, f in findings],
                    "launches": launches,
                    "kernels": sorted("/".join(k) for k in kernels),
                },
                indent=1,
            )
        )
    else:
        tables.print_sweep(findings, launches, kernels)
    return exit_code([f for _, _, f in findings], complete, options.fail_on)


def exit_code(findings, complete: bool, fail_on: str, wrong: bool = False) -> int:
    """0 no error, 1 errors (or warnings, where they count) or wrong values, 3 a launch that did not come to its end."""
    if not complete:
        return 3
    return int(wrong or any(f.severity == "error" or fail_on == "warning" for f in findings))


def inspected(options) -> list:
    """The reports of one kernel's launches; --html's page is written."""
    if options.gpu not in CARDS:
        raise UserError(f"inspect: --gpu: need one of {', '.join(CARDS)}, got {options.gpu!r}")
    chosen = None
    if options.warp:
        parts = options.warp.split(":")
        if len(parts) != 2 or not all(v.isdecimal() for v in parts):
            raise UserError(f"inspect: --warp: need BLOCK:WARP such as 0:3, got {options.warp!r}")
        chosen = tuple(map(int, parts))
    dev = CheckDevice(options.tiles, seconds=options.seconds, chosen=chosen)
    if ".cu" in options.kernel:
        file, symbol = split_name(options.kernel)
        dev.symbols = symbol_values(dev, options.symbol, options.seed)
        reports = run_user_kernels(
            dev,
            Wanted(
                file,
                symbol,
                options.grid,
                options.block,
                options.arg,
                options.macro,
                options.shared_bytes,
                options.seed,
                options.launch,
                options.expect,
            ),
        )
    else:
        given = (options.arg, options.grid, options.macro, options.shared_bytes, options.symbol, options.launch)
        if any(given):
            raise UserError(
                "inspect: --arg, --grid, --macro, --shared-bytes, --symbol, --launch: need file.cu:kernel, got one of"
                " our kernels: give --shape"
            )
        if options.block:
            dev.row_block = parse_size("block", options.block)
        reports = own_reports(dev, options.kernel, parse_shape(options.shape), options.rung, options.seed)
    if options.html:  # before anything is printed: whoever reads that may go away
        try:
            Path(options.html).write_text(page.render(reports, options.gpu), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"inspect: --html: need a file that can be written, got {options.html}: {error.strerror}"
            ) from None
    return reports


def code_of(options, reports) -> int:
    """The exit code that these reports are worth."""
    findings = [f for r in reports for f in r.findings]
    wrong = any(v.wrong for r in reports for v in r.values)
    return exit_code(findings, all(r.complete for r in reports), options.fail_on, wrong)


def shown(options, reports, changed: list | None = None) -> int:
    """Prints the reports. Returns the exit code.   changed: with --watch, what changed since the last run."""
    with reader_may_leave():
        if options.json:
            more = {} if changed is None else {"against_the_last_run": changed}
            print(json.dumps({**tables.data(reports, options.gpu), **more}, indent=None if options.watch else 1))
        else:
            tables.print_reports(reports, options.gpu)
            tables.print_changes(changed)
            if options.html:
                print(f"page: {options.html}")
        sys.stdout.flush()
    return code_of(options, reports)


def watch(options) -> int:
    """Runs again whenever the file changes, or one of those that it includes or is compared with.

    Ctrl-C ends it with the last run's exit code.
    """
    history, files, code, first = History(options.gpu), named_files(options), 2, True
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for _ in changes(files):
            try:
                reports = inspected(options)
            except UserError as error:
                print(error, file=sys.stderr, flush=True)
                code = 2
                continue
            files[:] = named_files(options) + [path for r in reports for path in r.files]
            changed = history.changed(reports)
            code = code_of(options, reports)  # before it is told: Ctrl-C may come while it is read
            shown(options, reports, None if first else changed)
            first = False
    except KeyboardInterrupt:
        pass
    return code


def named_files(options) -> list[Path]:
    """The files that a command line names; of our own kernels all of theirs."""
    if ".cu" not in options.kernel:
        return sorted(source.KERNELS.rglob("*.cu*"))
    expected = re.search(r"[^=@]*?\.(?:npy|py|cu)(?=:|$)", options.expect or "")
    arrays = [v.partition("@")[2] for v in options.arg if "@" in v]
    return [Path(f) for f in (split_name(options.kernel)[0], *arrays, *([expected[0]] if expected else []))]


@contextlib.contextmanager
def reader_may_leave():
    """Output into head, say: what is left of it is nobody's, and no error."""
    try:
        yield
    except (BrokenPipeError, SystemExit):  # rich turns the one into the other
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments=None) -> int:
    write_in_any_terminal()
    p = parser()
    options = p.parse_args(arguments)
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a launch is one long call: Ctrl-C must end it
    try:
        if options.all and options.watch:
            p.error("--watch: need one kernel, got --all")
        if options.all:
            return run_all(options)
        if not options.kernel:
            p.error("need a kernel, or --all")
        return watch(options) if options.watch else shown(options, inspected(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
