"""What the design promises about the source itself: who imports what, and what a kernel file holds."""

import ast
import re
from pathlib import Path

import pytest

from dcgan_cupy.device import source
from dcgan_cupy.ops import tiles
from dcgan_cupy.ops.epilogue import ACTIVATIONS

PACKAGE = Path(source.PACKAGE)
KERNELS = Path(source.KERNELS)
TESTS = Path(__file__).resolve().parent
MODULES = sorted(PACKAGE.rglob("*.py"))
CUDA = sorted(KERNELS.rglob("*.cu"))
HEADERS = sorted(KERNELS.rglob("*.cuh"))

# The rooms, from the commands down: a module imports only from rooms further down this list, or from its own.
ORDER = [
    ["__main__"],
    ["train", "inspect", "walk", "export", "import_weights", "data.__main__", "runs.__main__"],
    ["sample"],
    ["learn"],
    ["workbench", "runs"],
    ["preflight"],
    ["trainer", "feed"],
    ["data"],
    ["config"],
    ["networks"],
    ["layers", "losses", "optim"],
    ["memory"],
    ["random"],
    ["workers"],
    ["ops"],
    ["command"],
    ["device"],
    ["cache", "reference"],
    ["sizes"],
    ["machine", "choices", "errors", "changes"],
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
LONGEST = 400  # lines of a file; faces.py is a drawing
LONG = {"data/faces.py"}

NO_ARRAYS = [
    *(f"layers/{path.name}" for path in sorted((PACKAGE / "layers").glob("*.py"))),
    *("networks.py", "trainer.py", "losses.py", "optim.py"),
]
ARRAY_LIBRARIES = {"numpy", "cupy", "cupyx", "torch", "jax", "tensorflow", "scipy", "numba"}


def name_of(path):
    return next(
        path.relative_to(top).as_posix() for top in (KERNELS, PACKAGE, TESTS.parent) if path.is_relative_to(top)
    )


def files(paths):
    return pytest.mark.parametrize("path", paths, ids=name_of)


def tree(path):
    return ast.parse(path.read_text(), str(path))


def imports(path):
    """Full names of all that a file imports, wherever in it: "numpy", "dcgan_cupy.ops", "dcgan_cupy.device.source"."""
    package = ["dcgan_cupy", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) and node.args:
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if called in ("import_module", "__import__") and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def module_of(path):
    """Its name inside the package: "ops.conv2d", "data.__main__"; a folder's __init__ has the folder's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


NAMES = {module_of(path) for path in MODULES}


def modules_in(path):
    """The modules of this package that a file imports."""
    for name in imports(path):
        parts = name.split(".")[1:] if name.split(".")[0] == "dcgan_cupy" else []
        while parts and ".".join(parts) not in NAMES:
            parts.pop()  # a name in a module
        if parts:
            yield ".".join(parts)


def room(module):
    """The entry of ORDER that a module belongs to."""
    return module if module in RANK else module.split(".")[0]


def test_there_is_something_to_look_at():
    assert {"ops/conv2d.py", "layers/base.py", "device/gpu.py"} <= {name_of(p) for p in MODULES}
    assert len(CUDA) >= 10 and len(HEADERS) >= 2


# Imports


@files([path for path in MODULES if path.parent != PACKAGE or path.name != "__init__.py"])
def test_imports_go_down_only(path):
    own = room(module_of(path))
    assert own in RANK, f"{name_of(path)}: need its room in ORDER"
    for module in modules_in(path):
        other = room(module)
        assert other == own or RANK[other] > RANK[own], f"{name_of(path)} imports {module}: imports go down only"


def test_no_circle_of_imports():
    graph = {module_of(path): set(modules_in(path)) - {module_of(path)} for path in MODULES}
    done = set()

    def visit(module, above):
        assert module not in above, f"a circle: {' > '.join([*above[above.index(module) :], module])}"
        if module not in done:
            for other in sorted(graph[module]):
                if not other.startswith(module + ".") and not module.startswith(other + "."):
                    visit(other, [*above, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])


@files(MODULES)
def test_no_private_name_is_used_across_modules(path):
    """Neither `from .other import _name` nor `other._name`, where other is a module of ours."""
    module = tree(path)
    private = [name for name in imports(path) if name.startswith("dcgan_cupy") and re.search(r"\._(?!_)", name)]
    assert not private, f"{name_of(path)} imports {', '.join(private)}"
    ours = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("dcgan_cupy"))
        for alias in node.names
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours:
            assert not re.match(r"_(?!_)", node.attr), f"{name_of(path)}:{node.lineno}: {node.value.id}.{node.attr}"


@files([*MODULES, *sorted(TESTS.glob("*.py"))])
def test_files_can_be_read_at_a_sitting(path):
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST or name_of(path) in LONG, f"{name_of(path)}: need at most {LONGEST} lines, got {lines}"


def test_cupy_is_imported_in_one_file():
    assert [name_of(p) for p in MODULES if any(n.split(".")[0] in ("cupy", "cupyx") for n in imports(p))] == [
        "device/gpu.py"
    ]


@files(MODULES)
def test_torch_is_imported_nowhere_but_for_its_files(path):
    found = [n for n in imports(path) if n.split(".")[0] in ("torch", "torchvision")]
    assert not found or name_of(path) in ("runs/weights.py", "runs/writers.py")


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_no_array_library_where_kernels_do_the_work(name):
    assert not [n for n in imports(PACKAGE / name) if n.split(".")[0] in ARRAY_LIBRARIES]


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_no_array_methods_where_kernels_do_the_work(name):
    """An array library reached through an array's own methods would be no kernel either:

    No sum, no dot, no matrix product.
    """
    banned = {
        "sum",
        "dot",
        "mean",
        "std",
        "var",
        "exp",
        "matmul",
        "clip",
        "astype",
        "transpose",
        "max",
        "min",
        "argmax",
    }
    module = tree(PACKAGE / name)
    for function in [n for n in ast.walk(module) if isinstance(n, ast.FunctionDef)]:
        if function.name in ("state_dict", "load_state_dict", "_numbers"):
            function.body = []  # a checkpoint's layouts and types are changed on the host, outside of training
    for node in ast.walk(module):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr
        assert called not in banned, f"{name}:{node.lineno}: .{called}()"
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)), f"{name}:{node.lineno}: @"


# Kernel files


def code(path):
    return source.strip_comments(path.read_text())


def test_kernels_holds_only_cuda_and_its_guide():
    others = [
        p for p in KERNELS.rglob("*") if p.is_file() and p.suffix not in (".cu", ".cuh") and p.name != "README.md"
    ]
    assert not others


@files(CUDA + HEADERS)
def test_kernels_include_only_their_own_headers(path):
    for line in code(path).splitlines():
        assert not re.match(r"\s*#\s*include\s*<", line), line
    for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), flags=re.M):
        shared, *of_one = (KERNELS / "include" / folder / included for folder in ("", "gpu", "cpu"))
        assert (path.parent / included).is_file() or shared.is_file() or all(p.is_file() for p in of_one), included


HOST = PACKAGE / "device" / "host"
ABOUT_THE_PLACE = re.compile(
    r"__CUDACC\w*|__NVCC__|__NVCOMPILER|__HIP\w*|__CUDA__|__GNUC__|__clang__|_MSC_VER|__OPTIMIZE__|__linux__|_WIN32|__APPLE__"
    r"|__x86_64__|__aarch64__|\w*(?:HOST|CPU|EMULAT)\w*",
    flags=re.I,
)


@files(CUDA + HEADERS)
def test_no_condition_asks_where_the_kernel_runs(path):
    """One text for both devices: a condition may ask for a size or for the GPU's generation, never for the CPU."""
    words = set()
    for file in (HOST / "cuda_on_host.hpp", HOST / "launch.h"):
        words |= set(re.findall(r"^\s*#\s*define\s+(\w+)", file.read_text(), flags=re.M))
    for line in re.sub(r"\\\n", " ", code(path)).splitlines():
        condition = re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b(.*)", line)
        if condition is None:
            continue
        names = set(re.findall(r"[A-Za-z_]\w*", condition[2]))
        assert not names & words, line
        assert not [n for n in names if ABOUT_THE_PLACE.fullmatch(n)], line
        if condition[1] in ("ifdef", "ifndef") or "defined" in names:
            assert "__CUDA_ARCH__" not in names, f"{line}: is defined on a GPU only"


def test_each_activation_is_written_once():
    """In activation.cuh: no kernel has one of its own, and no Python text holds C."""
    held = KERNELS / "include/activation.cuh"
    names = re.findall(r"struct (\w+) \{", code(held))
    assert tuple(names) == ACTIVATIONS
    written = re.compile(r"\btanhf\s*\(|1\.0f / \(1\.0f \+ expf|> 0(\.0f)? \? \w+ : \w+ \*")
    assert len(written.findall(code(held))) >= 4
    for path in [*CUDA, *HEADERS]:
        assert path == held or not written.search(code(path)), f"{name_of(path)}: need Epilogue or activations::"
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"\? v :|tanhf\(|expf\(", node.value), f"{name_of(path)}: {node.value!r}"


FIELDS = ("mapping", "cost", "aliasing", "lesson")


def header(path):
    """The comment that a file opens with, without its slashes."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:])
    return lines


@files(CUDA)
def test_kernel_files_open_with_the_fields(path):
    lines = header(path)
    assert lines, "need a header comment in the first line"
    first = " ".join(lines).partition("   ")[0]  # up to the first empty line or indented field
    assert re.match(r" \w[\w, ]*: \S|.{15,}\.$", first.rstrip()), (
        f"first lines: need `name: what it is` or a sentence, got {first!r}"
    )
    text = "\n".join(lines)
    places = [re.search(rf"^ +{field} +\S", text, flags=re.M) for field in FIELDS]
    assert all(places), f"need {', '.join(FIELDS)}"
    starts = [place.start() for place in places]
    assert starts == sorted(starts), f"need them in this order: {', '.join(FIELDS)}"
    assert "=" in text[: starts[0]] or "formula" in text[: starts[0]], "need a formula before the mapping"
    assert not re.search(r"copyright|licen[cs]e", text, flags=re.I)


@files(HEADERS)
def test_included_files_say_what_they_are(path):
    assert header(path) and "#pragma once" in path.read_text()


def kernels(path):
    return source.signatures(source.load(name_of(path)))


@files(CUDA)
def test_kernel_files_hold_kernels_with_plain_names(path):
    found = kernels(path)
    assert found
    for name, signature in found.items():
        assert name != "kernel" and not re.search(r"_v?\d+$", name), f"{name}: need <op>_<what>, no version number"
        if not signature.template:
            assert re.search(rf'extern\s*"C"\s*__global__[^;{{]*\b{name}\s*\(', path.read_text()), (
                f'{name}: need extern "C"'
            )


def held_strings(function):
    """Local variable -> the string it holds: where = "fill", or file, where = "elementwise.cu", "fill"."""
    held = {}
    for node in (n for n in ast.walk(function) if isinstance(n, ast.Assign)):
        for target in node.targets:
            several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            pairs = zip(target.elts, node.value.elts) if several else [(target, node.value)]
            held |= {t.id: v.value for t, v in pairs if isinstance(t, ast.Name) and isinstance(v, ast.Constant)}
    return held


def launched():
    """Every kernel that ops.py names in dev.kernel(file, symbol), or to a helper that takes a `symbol`."""
    paths = [PACKAGE / "ops.py"] if (PACKAGE / "ops.py").is_file() else sorted((PACKAGE / "ops").glob("*.py"))
    functions = [n for path in paths for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef)]
    places = {
        f.name: [a.arg for a in f.args.args].index("symbol")
        for f in functions
        if "symbol" in [a.arg for a in f.args.args]
    }
    found = set()
    for function in functions:
        held = held_strings(function)
        for call in (n for n in ast.walk(function) if isinstance(n, ast.Call)):
            place = 1 if getattr(call.func, "attr", "") == "kernel" else places.get(getattr(call.func, "id", ""))
            if place is not None and place < len(call.args):
                symbol = call.args[place]
                found.add(
                    str(
                        symbol.value if isinstance(symbol, ast.Constant) else held.get(getattr(symbol, "id", ""))
                    ).partition("<")[0]
                )
    return found


@files(CUDA)
def test_every_kernel_is_launched_in_ops(path):
    missing = set(kernels(path)) - launched()
    assert not missing, f"{', '.join(sorted(missing))}: need a launch in ops.py"


def test_buffers_are_those_of_the_movers():
    """The host works out shared memory from what each machine's mover does."""
    for folder, made in (("gpu", (tiles.Tile, tiles.WinogradTile)), ("cpu", (tiles.CpuTile, tiles.CpuWinogradTile))):
        text = (KERNELS / "include" / folder / "mover.cuh").read_text()
        assert {int(re.search(r"^#define BUFFERS (\d)$", text, flags=re.M)[1])} == {tile.buffers for tile in made}


def test_tiled_forward_stays_readable():
    """All that the kernel reaches on a GPU: 250 lines, and 8 constants to tune (those that the host gives a Tile)."""
    text = source.load("conv2d/forward_4_tiled.cu")
    reached = set(re.findall(r'^#line 1 "([^"]+)"', text, flags=re.M))
    assert "include/gpu/mover.cuh" in reached and not any("cpu" in name for name in reached)
    assert sum(len((KERNELS / name).read_text().splitlines()) for name in reached) <= 250
    assert len(tiles.rows_product("gpu", 4096, 64, 64, 16, 256, True, True).macros()) <= 8


@files(CUDA + HEADERS)
def test_kernels_are_120_columns_wide(path):
    wide = [n for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 120]
    assert not wide, f"lines {wide}"
