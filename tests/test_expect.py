"""Values beside what was expected: --expect for a user's kernel, the float64 definitions for our own."""

import json

import numpy as np
import pytest

from dcgan_cupy.workbench import cases, command, expect_ours
from dcgan_cupy.workbench.check_device import CheckDevice
from dcgan_cupy.workbench.expect import compare, picture

TEXT = """__global__ void right(const float* x, float* y, float a, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i];
}
__global__ void wrong(const float* x, float* y, float a, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = i % 100 == 7 ? x[i] : a * x[i];
}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my.cu"
    path.write_text(TEXT)
    (tmp_path / "ref.py").write_text(
        "def ref(x, a): return a * x\n"
        "def in_place(x, y, a): y[:] = a * x\n"
        "def named(x, a): return {'y': a * x}\n"
        "def stranger(z): return z\n"
        "def fails(x): return x.nothing\n"
    )
    return path


def run(capsys, *arguments):
    code = command.main([*map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


@pytest.mark.parametrize("function", ["ref", "in_place", "named"])
def test_a_python_function(file, capsys, function):
    expected = f"{file.parent}/ref.py:{function}"
    code, data, err = run(capsys, f"{file}:right", "--expect", expected)
    assert code == 0 and data["values"][0]["wrong"] == 0 and data["values"][0]["elements"] == 1000, err
    code, data, _ = run(capsys, f"{file}:wrong", "--expect", expected)
    values = data["values"][0]
    assert code == 1 and values["array"] == "y" and values["first"] == [7] and values["wrong"] == 10
    assert values["largest_error"] > 0 and data["findings"] == []


def test_two_kernels_with_each_other(file, capsys):
    code, data, _ = run(capsys, f"{file}:wrong", "--expect", f"{file}:right")
    assert code == 1 and data["values"][0]["wrong"] == 10
    assert run(capsys, f"{file}:right", "--expect", f"{file}:right")[0] == 0


@pytest.mark.parametrize(
    "expected, message",
    [
        ("ref.py:stranger", "need names of the kernel's"),
        ("ref.py:fails", "need values, got AttributeError"),
        ("ref.py:none", "need a function none"),
        ("y=@missing.npy", "need a .npy file"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(file, capsys, expected, message):
    _, _, tail = expected.rpartition("ref.py")
    code, _, err = run(
        capsys, f"{file}:right", "--expect", f"{file.parent}/ref.py{tail}" if "ref.py" in expected else expected
    )
    assert code == 2 and message in err and err.count("\n") == 1


def test_nan_is_right_only_where_it_is_expected():
    want = np.array([1, np.nan, np.inf, 4], np.float32)
    assert compare("y", want.copy(), want).wrong == 0
    made = compare("y", np.array([np.nan, np.nan, np.inf, 4], np.float32), want)
    assert made.wrong == 1 and made.first == (0,)
    assert compare("y", np.array([1, 2], np.int32), np.array([1, 3])).first == (1,)


def test_the_picture_shows_where():
    wrong = np.zeros((4, 6), bool)
    wrong[2, 3:] = True
    assert picture(wrong) == ["......", "......", "...###", "......"]
    assert picture(np.arange(64) == 5)[0][5] == "#"


@pytest.mark.parametrize(
    "operation, right, wrong",
    [
        ("relu_forward", "x < 0.0f ? 0.0f : x", "x < 0.0f ? x : 0.0f"),
        ("concat_label_forward", "== ", "!= "),
        ("adam_step", "one_minus_beta2 * (g * g)", "one_minus_beta2 * g"),
        ("random_normal", "u2 = (float)(r.w[k + 1] >> 8)", "u2 = (float)(r.w[k] >> 8)"),
        ("random_integers", "__umulhi(r.w[k], (unsigned)below)", "(int)(r.w[k] % (unsigned)below)"),
        ("batchnorm_forward", "var[c] + eps", "var[c] + 0.1f"),
        ("bce", "log1pf(-p)", "log1pf(p)"),
    ],
)
def test_our_own_kernels_are_compared_with_their_definitions(operation, right, wrong):
    dev = CheckDevice(costs=False)
    with expect_ours.compared(dev, operation) as values:
        cases.run_case(dev, cases.CASES[operation], cases.CASES[operation].edges[-1])
    assert values and not any(v.wrong for v in values)
    changed = CheckDevice(costs=False)
    changed.edit = lambda name, text: text.replace(right, wrong)
    with expect_ours.compared(changed, operation) as values:
        cases.run_case(changed, cases.CASES[operation], cases.CASES[operation].edges[-1])
    assert any(v.wrong for v in values)


def test_every_definition_holds():
    """Each rule names the operation's own arguments, and our kernels pass: at the smallest edge of each."""
    for operation in expect_ours.REFERENCES:
        dev, case = CheckDevice(costs=False), cases.CASES[operation]
        with expect_ours.compared(dev, operation) as values:
            cases.run_case(dev, case, case.edges[0])
        assert values and not any(v.wrong for v in values), (operation, [v.sentence() for v in values])
