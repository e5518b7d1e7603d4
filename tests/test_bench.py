"""The bench's own arithmetic, its files and its command; how much of a GPU the kernels leave free."""

import json

import pytest

from bench import __main__ as command
from bench import occupancy, peer, report, steps
from dcgan_cupy import ops
from dcgan_cupy.device import gpu
from dcgan_cupy.errors import UserError


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


def test_kernels_leave_room(monkeypatch):
    """Every kernel of the seeds' step:

    Nothing in local memory, a block fits, and what moves memory has warps to hide it behind.
    """
    monkeypatch.setattr(occupancy, "ARCHITECTURES", {arch: occupancy.ARCHITECTURES[arch] for arch in (86, 90)})
    try:
        gpu.resources('extern "C" __global__ void nothing() {}', "nothing", 90)
    except UserError as error:
        pytest.skip(str(error))
    rows = occupancy.rows()
    assert len(rows) > 100 and {row.symbol for row in rows} >= {"conv2d_forward", "adam_step", "bce_with_logits"}
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
    monkeypatch.setattr(command, "roofline", lambda device: {"gflops": 50.0, "gb_per_s": 10.0})
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


def test_bench_out_of_time_keeps_what_it_has(tiny, tmp_path, capsys):
    assert command.main(["--out", str(tmp_path), "--minutes", "1e-6", "--device", "cpu"]) == 0
    _, found = results(tmp_path)
    assert found["steps"] == found["kernels"] == found["growth"] == [] and len(found["left_out"]) == 2
    assert "Left out for want of time: step (2, 2, 16), step (2, 4, 16)." in report.report(found)


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
