"""The tests' own helpers can fail."""

import helpers
import numpy as np
import pytest
from helpers import assert_close, assert_equal

from dcgan_cupy import reference as ref


def test_assert_close_accepts_and_refuses():
    want = np.array([[3.0, 4.0]])  # norm 5
    assert_close(want + np.array([[0.0, 0.04]]), want, 1e-2, "within")
    assert_close(np.zeros(3), np.zeros(3), 0.0, "zeros")
    refused = [
        (want + np.array([[0.0, 0.06]]), want, r"relative error 0.012, allowed 0.01; worst at \(0, 1\)"),
        (want.ravel(), want, "shapes differ"),
        ([[3.0, np.nan]], want, r"got\(0, 1\) is nan"),
        ([[3.0, np.nan]], [[3.0, np.nan]], r"want\(0, 1\) is nan"),
        ([[np.inf, 4.0]], [[np.inf, 4.0]], r"want\(0, 0\) is inf"),
        (np.full(3, 1e-30), np.zeros(3), "relative error inf"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "nothing to compare"),
    ]
    for got, expected, message in refused:
        with pytest.raises(AssertionError, match=message):
            assert_close(got, expected, 1e-2, "what")


def test_assert_equal_accepts_and_refuses():
    assert_equal(np.float32([1, -0.0, np.inf]), [1, 0, np.inf])
    with pytest.raises(AssertionError, match=r"2 of 4 differ, first at \(0, 1\): got .*5.*, want .*2"):
        assert_equal([[1, 5], [3, 9]], [[1, 2], [3, 4]])
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_equal(np.ones(2), np.ones((2, 1)))
    with pytest.raises(AssertionError, match="1 of 2 differ"):
        assert_equal([1.0, np.nan], [1.0, np.nan])
    with pytest.raises(AssertionError, match="nothing to compare"):
        assert_equal([], [])


def test_integers_are_small_float32():
    values = helpers.integers(np.random.default_rng(11), (500,))
    assert values.dtype == np.float32
    assert sorted(set(values.tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    assert helpers.normal(np.random.default_rng(11), (2, 3)).dtype == np.float32


@pytest.mark.parametrize("transposed", [False, True])
def test_draw_conv_shape_covers_the_ground(transposed):
    rng = np.random.default_rng(12)
    shapes = [helpers.draw_conv_shape(rng, transposed) for _ in range(400)]
    output_size = ref.conv_transpose2d_output_size if transposed else ref.conv2d_output_size
    for s in shapes:
        extra = [s["output_padding"]] if transposed else []
        assert min(output_size((s["h"], s["w"]), (s["kh"], s["kw"]), s["stride"], s["padding"], *extra)) >= 1
        assert all(e < step for e, step in zip(s["output_padding"], s["stride"], strict=True))
    assert {s["kh"] for s in shapes} == {s["kw"] for s in shapes} == set(range(1, 8))
    assert {s["stride"][0] for s in shapes} == set(range(1, 5)) and {s["padding"][1] for s in shapes} == set(range(4))
    assert {max(s["output_padding"]) for s in shapes} == (set(range(4)) if transposed else {0})
    for unequal in (lambda s: s["h"] != s["w"], lambda s: s["kh"] != s["kw"], lambda s: len(set(s["stride"])) == 2):
        assert sum(map(unequal, shapes)) > 200
    limited = helpers.draw_conv_shape(rng, transposed, size=(30, 40), channels=(60, 70), kernel=(4, 4), batch=(9, 9))
    assert 30 <= limited["h"] <= 40 and 60 <= limited["oc"] <= 70 and limited["kw"] == 4 and limited["n"] == 9


def test_draw_conv_shape_refuses_limits_without_an_output():
    with pytest.raises(ValueError, match="need limits that leave an output"):
        helpers.draw_conv_shape(np.random.default_rng(13), size=(1, 2), kernel=(7, 7), padding=(0, 1))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i4", "u2"])
@pytest.mark.parametrize("shape", [(3, 5, 7), 1, (0, 4), ()], ids=str)
def test_guarded_sees_what_crosses_its_ends(dtype, shape):
    view, check = helpers.guarded(shape, dtype)
    assert view.dtype == dtype and view.shape == np.empty(shape).shape and view.flags.c_contiguous
    assert view.ctypes.data % 256 == 0
    assert np.isnan(view).all() if view.dtype.kind == "f" else set(view.tobytes()) <= {0x5A}
    poison = helpers.guarded(1, dtype)[0]
    view[...] = 1
    check()  # writing the array itself is allowed

    # The same memory with one element more before it and two more behind, as a kernel without a tail guard sees it.
    offset = view.ctypes.data - view.base.ctypes.data
    wider = np.ndarray(view.size + 3, dtype, buffer=view.base, offset=offset - view.itemsize)
    for at, message in [
        (0, "first 1 before the start"),
        (-2, "first 0 behind the end"),
        (-1, "first 1 behind the end"),
    ]:
        for stray in (1, poison[0]):  # poison: NaN over NaN must be seen too
            untouched = wider.view(f"u{view.itemsize}")[at]
            wider[at] = stray
            with pytest.raises(AssertionError, match=f"1 guards overwritten, {message}"):
                check()
            wider.view(f"u{view.itemsize}")[at] = untouched
            check()


def test_guarded_refuses_types_it_cannot_poison():
    with pytest.raises(TypeError, match="need a float or integer type"):
        helpers.guarded((2,), np.complex64)
