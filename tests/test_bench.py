"""The bench's own arithmetic, its files and its command; how much of a GPU the kernels leave free."""

import json
from pathlib import Path

import numpy as np
import pytest
import stand_in

from bench import __main__ as command
from bench import measure, occupancy, peer, profile, report, steps
from dcgan_cupy import device, ops
from dcgan_cupy.device import gpu
from dcgan_cupy.errors import UserError

FAULTY = Path(__file__).resolve().parent / "kernels" / "faulty.cu"


@pytest.mark.parametrize(
    "arch, registers, shared, threads, want",
    [
        (80, 32, 0, 256, 1.0),
        (80, 128, 0, 256, 0.25),
        (80, 129, 0, 256, 0.125),
        (80, 255, 0, 32, 0.125),
        (86, 64, 0, 256, 2 / 3),
        (80, 32, 48 * 1024, 256, 3 / 8),
        (90, 32, 75 * 1024, 256, 3 / 8),
        (120, 32, 99 * 1024, 256, 1 / 6),
        (86, 16, 0, 32, 1 / 3),
        (80, 16, 0, 1, 0.5),
    ],
)
def test_occupancy_known_answers(arch, registers, shared, threads, want):
    """By hand from the tables of the CUDA C++ Programming Guide."""
    assert occupancy.occupancy(arch, registers, shared, threads) == pytest.approx(want)


@pytest.mark.parametrize("arch", [pytest.param(90, marks=pytest.mark.long), 86])
def test_kernels_leave_room(monkeypatch, arch):
    """Every kernel of the seeds' step:

    Nothing in local memory, a block fits, and what moves memory has warps to hide it behind.
    """
    monkeypatch.setattr(occupancy, "ARCHITECTURES", {arch: occupancy.ARCHITECTURES[arch]})
    try:
        gpu.resources('extern "C" __global__ void nothing() {}', "nothing", 90)
    except UserError as error:
        pytest.skip(str(error))
    rows = occupancy.rows()
    assert len(rows) > 60 and {row.symbol for row in rows} >= {"conv2d_forward", "adam_step", "bce_with_logits"}
    assert [row for row in rows if row.stack or row.spills] == []
    # a matrix product keeps its tile in registers and hides latency by itself: one block of 8 warps will do
    floor = {"conv2d_forward": 0.12, "conv2d_backward_input": 0.12, "conv2d_backward_weight": 0.12}
    assert [row for row in rows if row.occupancy < floor.get(row.symbol, 0.33)] == []
    assert "| `adam_step` |" in occupancy.markdown(rows)


# The command


@pytest.fixture
def tiny(monkeypatch):
    """The same bench at sizes that take seconds and end before the time does, without torch.compile."""
    monkeypatch.setattr(peer, "MODES", ("eager", "channels_last"))
    monkeypatch.setattr(steps, "SIZES", ((2, 2, 16), (2, 4, 16)))
    monkeypatch.setattr(
        steps, "growth_points", lambda kind: [("batch", 2, 2, 16), ("batch", 2, 4, 16), ("size", 2, 2, 16)]
    )
    monkeypatch.setattr(steps, "SAMPLE", 0.02)
    monkeypatch.setattr(steps, "threads", lambda count: None)  # PyTorch's own spin where two tests share the cores
    monkeypatch.setattr(command, "roofline", lambda device: {"gflops": 50.0, "gb_per_s": 10.0})
    monkeypatch.setattr(command, "busy", lambda limits, dev, folders: "")
    monkeypatch.setattr(command, "KERNEL_SIZES", {"cpu": ((2, 2, 16),), "gpu": ((2, 2, 16),)})


def results(folder):
    (path,) = folder.iterdir()
    return path, json.loads(path.read_text())


def test_bench_measures_checks_and_reports(tiny, tmp_path, capsys):
    assert command.main(["--out", str(tmp_path / "out"), "--minutes", "10", "--device", "cpu"]) == 0
    path, found = results(tmp_path / "out")
    assert [(row["features"], row["batch"], row["size"]) for row in found["steps"]] == [(2, 2, 16), (2, 4, 16)]
    assert all({"dcgan_cupy", "eager", "channels_last"} <= row.keys() and row["finite"] for row in found["steps"])
    names = {(row["layer"], row["pass"]) for row in found["kernels"]}
    assert len(names) == len(found["kernels"]) == 18 and len(found["growth"]) == 3
    for row in found["kernels"]:
        wanted = (
            {"textbook", "tiled", "winograd"} if row["layer"] in ("D1", "D2", "G2", "G3") else {"textbook", "tiled"}
        )
        assert row["errors"].keys() == wanted and not row["failed"] and row["best"] in wanted
    for key in ("device", "runs", "commit", "torch", "numpy", "precision", "date"):
        assert found["header"][key]
    capsys.readouterr()

    readme = tmp_path / "README.md"
    readme.write_text(f"# title\n{report.BEGIN}\nold\n{report.END}\nrest\n")
    for _ in range(2):
        assert report.main([str(path), "--readme", str(readme), "--images", str(tmp_path / "images")]) == 0
    text = readme.read_text()
    assert (
        text.startswith(f"# title\n{report.BEGIN}\n") and text.endswith(f"\n{report.END}\nrest\n") and "old" not in text
    )
    assert "| 2 | 4 | 16 |" in text and "emulated on the CPU" in text and "images/growth-cpu.png" in text
    assert (tmp_path / "images" / "growth-cpu.png").read_bytes().startswith(b"\x89PNG")
    readme.write_text("no marks")
    assert report.main([str(path), "--readme", str(readme)]) == 2
    assert report.main([str(readme)]) == 2 and "need a result file" in capsys.readouterr().err


def test_bench_out_of_time_measures_nothing_and_says_so(tiny, tmp_path, capsys):
    assert command.main(["--out", str(tmp_path), "--minutes", "1e-6", "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert said.err == "bench: --minutes: need more than 1e-06 to measure anything: no time left\n"
    assert (
        "Not measured, no time left: step (2, 2, 16), step (2, 4, 16), layers of 2 features (18 rows), "
        "growth along batch (2, 2, 16), growth along batch (2, 4, 16), growth along size (2, 2, 16).\n" in said.out
    )
    assert not list(tmp_path.iterdir()), "an earlier result of the same day stays"


class Clock:
    """A monotonic clock that only compiling moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_bench_on_an_empty_cache_compiles_within_its_time(tiny, monkeypatch, tmp_path, capsys):
    """A compiler of ten seconds a kernel: of the first step what fits into four fifths of the time, and no more."""
    clock, asked = Clock(), []

    def compile_one_by_one(self, kernels, progress=lambda done, total: None):
        for done, (_, symbol, _) in enumerate(kernels, 1):
            clock.now += 10
            asked.append(symbol)
            progress(done, len(kernels))

    monkeypatch.setattr(measure.time, "monotonic", clock)
    monkeypatch.setattr(type(device.get("cpu")), "prepare", compile_one_by_one)
    assert command.main(["--out", str(tmp_path), "--minutes", "2", "--device", "cpu"]) == 1
    assert 90 <= clock.now <= 130 and "images_to_float" in asked
    said = capsys.readouterr()
    assert "Not measured, 10 of its 53 kernels were ready in time; they are kept" in said.out
    assert said.err.startswith("bench: --minutes: need more than 2 to measure anything: 10 of its 53 kernels")
    assert "layers of 2 features (" in said.out and "growth along" in said.out


def test_bench_the_first_step_before_all_else(tiny, monkeypatch, tmp_path, capsys):
    """Two seconds a kernel that is not there yet: time for the first step's, and its row is measured."""
    clock, there, prepare = Clock(), set(), type(device.get("cpu")).prepare

    def slow(self, kernels, progress=lambda done, total: None):
        for done, key in enumerate(kernels, 1):
            clock.now += 1.5 * (key not in there)
            there.add(key)
            progress(done, len(kernels))
        prepare(self, kernels)

    monkeypatch.setattr(measure.time, "monotonic", clock)
    monkeypatch.setattr(type(device.get("cpu")), "prepare", slow)
    assert command.main(["--out", str(tmp_path), "--minutes", "2", "--device", "cpu"]) == 0
    _, found = results(tmp_path)
    assert [(row["features"], row["batch"], row["size"]) for row in found["steps"]][:1] == [(2, 2, 16)]
    assert clock.now <= 125


def record(folder, name, date, gflops, device_text, **more):
    folder.mkdir(exist_ok=True)
    head = {"device": device_text, "date": date, "roofline": {"gflops": gflops, "gb_per_s": 30.0}, **more}
    (folder / name).write_text(json.dumps({"header": head}))


def test_bench_says_that_the_machine_is_busy(tmp_path):
    """The limits are compared with the last ones of the same processor and thread count, of a run that was not busy."""
    dev = device.get("cpu")
    here = dev.description
    limits = {"gflops": 60.0, "gb_per_s": 29.0}
    assert measure.busy(limits, dev, [tmp_path]) == ""
    record(tmp_path, "a.json", "2026-01-01", 61.0, here)
    record(tmp_path, "b.json", "2026-01-02", 100.0, here)
    record(tmp_path, "c.json", "2026-01-03", 30.0, here, busy="the machine is busy")
    record(tmp_path, "d.json", "2026-01-04", 500.0, "CPU, another, 64 threads, clang")
    (tmp_path / "e.json").write_text("{")
    (tmp_path / "f.json").write_text("[1]")
    assert measure.busy(limits, dev, [tmp_path, tmp_path / "none"]) == (
        "the machine is busy: its measured limit is 60 GFLOP/s where 2026-01-02 had 100; take no figure from this run"
    )
    assert measure.busy({"gflops": 71.0, "gb_per_s": 22.0}, dev, [tmp_path]) == ""
    assert "20 GB/s where 2026-01-02 had 30" in measure.busy({"gflops": 71.0, "gb_per_s": 20.0}, dev, [tmp_path])


def test_bench_warns_in_console_file_and_report(tiny, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "busy", measure.busy)
    monkeypatch.setattr(command, "KERNEL_SIZES", {"cpu": ()})  # the steps will do
    record(tmp_path, "old.json", "2026-01-01", 100.0, device.get("cpu").description)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    assert command.main(["--out", str(tmp_path / "out"), "--minutes", "10", "--device", "cpu"]) == 0
    assert "warning: the machine is busy: its measured limit is 50 GFLOP/s where" in capsys.readouterr().out
    path, found = results(tmp_path / "out")
    assert found["header"]["busy"] and report.main([str(path)]) == 0
    assert "**Warning: the machine is busy" in capsys.readouterr().out


def test_bench_failed_check_fails(tiny, monkeypatch, tmp_path, capsys):
    forward = ops.conv2d_forward

    def wrong(dev, x, w, bias, y, stride, padding, rung="textbook", *rest, **named):
        forward(dev, x, w, bias, y, stride, padding, rung, *rest, **named)
        if rung == "tiled":
            y[..., 0] *= 1.001

    monkeypatch.setattr(ops, "conv2d_forward", wrong)
    assert command.main(["--out", str(tmp_path), "--minutes", "10", "--device", "cpu"]) == 1
    assert "check failed: D1 forward: errors {" in capsys.readouterr().err
    assert [row["failed"] for row in results(tmp_path)[1]["kernels"] if row["pass"] == "forward"]


def test_bench_wrong_use(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for flags, sentence in (
        (["--minutes", "0"], "bench: --minutes: need more than 0, got 0"),
        (["--out", str(tmp_path / "file" / "x"), "--device", "cpu"], "bench: --out: need a folder"),
    ):
        assert command.main(flags) == 2
        assert capsys.readouterr().err.startswith(sentence)


# The report


ROW = {"features": 2, "batch": 2, "size": 16}
TIMES = {"ms": 2.0, "p10": 1.0, "p90": 3.0}
RESULT = {
    "header": dict.fromkeys(("device", "runs", "kind", "date", "commit", "torch", "precision"), "text"),
    "steps": [{**ROW, "ratio": 1.5, "dcgan_cupy": TIMES, "eager": TIMES}],
    "kernels": [
        {**ROW, "layer": "D1", "pass": "forward", "tiled": TIMES, "torch": TIMES}
        | {"ratio": 1, "gflops": 2.0, "gb_per_s": 3.0, "percent_of_roofline": 40}
    ],
    "growth": [{"along": "batch", **ROW, "dcgan_cupy": TIMES, "channels_last": TIMES}],
    "left_out": [{"what": "step (64, 128, 64)", "why": "no time left", "rows": 1}],
}


def changed(*where, to=None) -> str:
    """The result with one value another, or (to=None) without it."""
    copy = json.loads(json.dumps(RESULT))
    part = copy
    for key in where[:-1]:
        part = part[key]
    if to is None:
        del part[where[-1]]
    else:
        part[where[-1]] = to
    return json.dumps(copy)


WRONG_FILES = {
    "empty": ("", "Expecting value"),
    "truncated": (json.dumps(RESULT)[:200], "line 1 column"),
    "text": ("# title", "Expecting value"),
    "bytes": (b"\xff\xfe\x00", "codec can't decode"),
    "deep": ("[" * 100_000, "recursion"),
    "a number": ("5", "all of it: need an object"),
    "a list": ("[]", "all of it: need an object"),
    "foreign": ('{"a": 1}', "need 'header'"),
    "another bench": (changed("steps"), "need 'steps'"),
    "no device": (changed("header", "device"), "header: need 'device'"),
    "steps no list": (changed("steps", to=5), "steps: need a list"),
    "row no object": (changed("steps", 0, to=[]), "steps[0]: need an object"),
    "no time": (changed("steps", 0, "eager", "ms"), "steps[0].eager: need 'ms'"),
    "time zero": (changed("steps", 0, "eager", "p90", to=0), "steps[0].eager.p90: need a number above 0"),
    "time NaN": (changed("kernels", 0, "tiled", "ms", to=float("nan")), "kernels[0].tiled.ms: need a number above 0"),
    "rung no times": (changed("kernels", 0, "tiled", to=7), "kernels[0].tiled: need an object"),
    "ratio text": (changed("kernels", 0, "ratio", to="2"), "kernels[0].ratio: need a number"),
    "roofline": (changed("header", "roofline", to={"gflops": 1}), "header.roofline: need 'gb_per_s'"),
    "growth": (changed("growth", 0, "channels_last"), "growth[0]: need 'channels_last'"),
    "left out": (changed("left_out", 0, to="step"), "left_out[0]: need an object"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_report_of_a_wrong_file_is_one_sentence(name, tmp_path, capsys):
    content, why = WRONG_FILES[name]
    path = tmp_path / "r.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert report.main([str(path), "--images", str(tmp_path / "images")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and why in said.err, said.err
    assert said.err.startswith(f"bench.report: file: need a result file (bench/results/*.json), got {path}: ")
    assert not (tmp_path / "images").exists()


def test_report_of_a_right_file(tmp_path, capsys):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(RESULT))
    assert report.main([str(path)]) == 0
    said = capsys.readouterr().out
    assert "| 2 | 2 | 16 |" in said and "Not measured, no time left: step (64, 128, 64)." in said
    for wrong in (tmp_path, tmp_path / "none", Path("/dev/null")):
        assert report.main([str(wrong)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "latin.md").write_bytes(b"\xe9")
    assert report.main([str(path), "--readme", str(tmp_path / "latin.md")]) == 2
    assert capsys.readouterr().err.startswith("bench.report: --readme: need a text file")


def test_report_of_every_kept_result(capsys):
    """What lies in bench/results is read, or named as another bench's."""
    kept = sorted(command.RESULTS.glob("*.json"))
    assert kept
    for path in kept:
        assert report.main([str(path)]) == (2 if path.name.startswith(("data-", "workers-")) else 0)


# A GPU that breaks


@pytest.fixture(params=[stand_in.NAME])
def on_gpu(request, monkeypatch, tiny):
    """The bench on the stand-in GPU, which a fault does not harm, beside a peer that takes no time."""
    if missing := stand_in.why_not():
        pytest.skip(missing)

    class Idle:
        def __init__(self, *settings):
            pass

        def step(self):
            pass

    monkeypatch.setattr(steps, "Peer", Idle)
    monkeypatch.setattr(steps, "modes", lambda device: ("eager", "tf32 graph", "bf16 graph"))
    monkeypatch.setattr(command, "KERNEL_SIZES", {"gpu": ()})
    return device.get("gpu")


def test_bench_steps_on_a_gpu(on_gpu, tmp_path):
    assert command.main(["--out", str(tmp_path), "--minutes", "10", "--device", "gpu"]) == 0
    _, found = results(tmp_path)
    assert found["header"]["kind"] == "gpu" and len(found["steps"]) == 2 and len(found["growth"]) == 3
    for row in found["steps"]:
        assert row["finite"] and row["best_peer"] == "eager" and row["ratios"].keys() == {"fp32", "tf32", "bf16"}
        assert row["ratio"] == row["ratios"]["fp32"]
    assert "| to PyTorch's best in tf32 | to PyTorch's best in bf16 |" in report.steps_table(found)


def test_small_layers_are_timed_by_graphs_of_twenty(on_gpu):
    """Launched by Python, a small kernel's time would be Python's."""
    x, one = on_gpu.zeros(5), on_gpu.array(np.ones(5, np.float32))
    timed = measure.ours_timed(on_gpu, lambda: ops.add(on_gpu, one, x))
    assert on_gpu.numpy(x).tolist() == [1] * 5
    assert timed() > 0 and on_gpu.numpy(x).tolist() == [1 + measure.LAUNCHES] * 5


def test_pytorch_in_every_precision():
    """A GPU's modes are float32, TF32 and bfloat16; the cast runs on a CPU too."""
    assert [mode for mode in peer.modes("cuda") if peer.precision_of(mode) == "fp32"] == [*peer.MODES, "graph"]
    assert {peer.precision_of(mode) for mode in peer.modes("cuda")} == {"fp32", "tf32", "bf16"}
    for mode, allowed in (("tf32 channels_last", True), ("bf16 channels_last", False), ("eager", False)):
        side = peer.Peer(2, 2, 16, mode, "cpu")
        side.step()
        assert peer.torch.backends.cudnn.allow_tf32 == peer.torch.backends.cuda.matmul.allow_tf32 == allowed
        assert all(p.dtype == peer.torch.float32 and p.isfinite().all() for p in side.d.parameters())


@pytest.mark.parametrize("what", ["step", "growth"])
def test_bench_of_a_broken_gpu_fails(on_gpu, monkeypatch, tmp_path, capsys, what):
    """A kernel that writes behind its array is told, with exit code 1; it was called a lack of minutes."""
    step = steps.Ours.step

    def broken(ours):
        ours.dev.kernel(str(FAULTY), "store_behind")(1, 32, ours.dev.empty((10,)), np.int32(10))
        step(ours)

    monkeypatch.setattr(steps.Ours, "step", broken)
    if what == "growth":
        monkeypatch.setattr(steps, "SIZES", ())
    assert command.main(["--out", str(tmp_path), "--minutes", "10", "--device", "gpu"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bench: kernel error: ") and "cudaErrorIllegalAddress" in said and said.count("\n") == 1


def test_profile_takes_the_gpu_that_answers(on_gpu, capsys):
    """--device auto was a TypeError there: a GPU has no threads to be given."""
    small = ["--features", "2", "--batch", "2", "--size", "16", "--steps", "1"]
    assert profile.main(["--device", "auto", *small]) == 0
    assert capsys.readouterr().out.startswith(on_gpu.description)
