"""Reading kernel texts: includes, comments, parameters, templates, barriers."""

import re
from pathlib import Path

import numpy as np
import pytest
from device_cases import (
    F32,
    FEATURES,
    I32,
    U32,
    files,  # noqa: F401
    sentence,
)

from dcgan_cupy.device import source


def compiled_lines(text):
    """(file, line, text) of each line of a pasted text, as a compiler counts them."""
    file, number, lines = None, 0, []
    for line in text.splitlines():
        if match := re.match(r'#line (\d+) "(.*)"', line):
            number, file = int(match[1]), Path(match[2]).name
        else:
            lines.append((file, number, line))
            number += 1
    return lines


def test_includes_are_pasted_once_and_lines_keep_their_numbers(files, tmp_path):
    main = files(
        main_cu=(
            '// top\n#include "a.cuh"\nint main_3;\n  #  include "sub/b.cuh"  // why\n#include "a.cuh"\nint main_6;\n'
        ),
        a_cuh='#pragma once\n#include "sub/b.cuh"\nint a_3;',
        sub__b_cuh='#include "../a.cuh"\n#include "c.cuh"\n#include <math.h>\nint b_4;\n',
        sub__c_cuh="int c_1;\n",
    )
    text = source.load(main)
    lines = compiled_lines(text)
    for file, number, line in lines:
        if match := re.fullmatch(r"int (\w+)_(\d+);", line):
            assert (file.partition(".")[0], number) == (match[1], int(match[2]))
    assert re.findall(r"int (\w+);", text) == ["c_1", "b_4", "a_3", "main_3", "main_6"]
    assert "#include <math.h>" in text and '#include "' not in text
    assert str(tmp_path / "sub" / "c.cuh") in text


def test_includes_come_from_the_shared_folder_too(files):
    text = source.load(files(main_cu='#include "reduce.cuh"\n#include "index.cuh"\n'))
    assert '#line 1 "include/reduce.cuh"' in text, "shown as it stands under kernels/"
    assert "sum_over_block" in text and "global_thread" in text
    assert f'#line 1 "{source.KERNELS / "include" / "reduce.cuh"}"' in source.load(
        files(main_cu='#include "reduce.cuh"\n'), absolute=True
    )


def test_missing_include(files):
    main = files(main_cu='int a;\n#include "a.cuh"\n', a_cuh='\n\n#include "gone.cuh"\n')
    with sentence(r'a\.cuh:3: include: need "gone\.cuh" beside the file or in .*include, got neither'):
        source.load(main)


def test_macros_come_first():
    text = source.load(FEATURES, (("A", 3), ("B", True), ("C", "x + 1")))
    assert text.startswith('#define A 3\n#define B 1\n#define C x + 1\n#line 1 "')


def test_comments_and_strings_do_not_confuse():
    found = source.signatures(r"""
// __global__ void not_me(int x) { __syncthreads(); }
/* nor me: __global__ void nor_me(int x) { */
extern "C" __global__ void plain(const float* x /* , int hidden */, int n) {   // never __syncthreads() here }}}
    const char* text = "} __syncthreads() \" { // still a string"; char brace = '{', quote = '\'', other = '"';
    /* } " unbalanced ' { */
    x[0];
}
extern "C" __global__ void waits(float* y) { /* { */ __syncthreads(); }
""")
    assert list(found) == ["plain", "waits"]
    assert [p.name for p in found["plain"].parameters] == ["x", "n"]
    assert not found["plain"].meets and found["waits"].meets


def test_stripped_comments_keep_their_lines():
    text = 'a /* one\ntwo */ b // three\n"str\\"ing // no" c\n/* x */ d'
    assert [line.rstrip() for line in source.strip_comments(text).splitlines()] == ["a", " b", '"" c', "  d"]


@pytest.mark.parametrize(
    "declared, name, c_type, pointer, dtype",
    [
        ("int n", "n", "int", False, I32),
        ("const float* x", "x", "float", True, F32),
        ("const float *__restrict__ x", "x", "float", True, F32),
        ("float const * const x", "x", "float", True, F32),
        ("volatile unsigned long long* __restrict__ counter", "counter", "unsigned long long", True, np.uint64),
        ("unsigned long long n", "n", "unsigned long long", False, np.uint64),
        ("unsigned n", "n", "unsigned", False, U32),
        ("const unsigned   int\n n", "n", "unsigned int", False, U32),
        ("unsigned char* pixels", "pixels", "unsigned char", True, np.uint8),
        ("size_t n", "n", "size_t", False, np.uint64),
        ("bool flag", "flag", "bool", False, np.bool_),
        ("double d", "d", "double", False, np.float64),
        ("const float4* x", "x", "float4", True, F32),
        ("const float x[]", "x", "float", True, F32),
        ("float x[16]", "x", "float", True, F32),
        ("T* x", "x", "T", True, None),
        ("Tuple<int, 4> t", "t", "Tuple<int, 4>", False, None),
        ("const __grid_constant__ Shape s", "s", "Shape", False, None),
    ],
)
def test_parameters(declared, name, c_type, pointer, dtype):
    found = source.signatures(f'extern "C" __global__ void k(int before, {declared}, float* after) {{}}')["k"]
    assert [p.name for p in found.parameters] == ["before", name, "after"]
    assert found.parameters[1] == source.Parameter(name, c_type, pointer, None if dtype is None else np.dtype(dtype))


def test_launch_bounds_on_either_side():
    for bounds in (
        "__launch_bounds__(256)",
        "__launch_bounds__( 256, 2 )",
        "__launch_bounds__((BM / TM) * (BN / TN), MIN(2, 3))",
        "",
    ):
        for head in (f"__global__ void {bounds} k", f"__global__ {bounds} void k", f"__global__ {bounds}\nvoid\nk"):
            found = source.signatures(f'extern "C" {head}(int a, float b) {{ }}')
            assert list(found) == ["k"], head
            assert [p.name for p in found["k"].parameters] == ["a", "b"]


def test_templates_are_told_from_plain_kernels():
    found = source.signatures("""
#include <cuda_bf16.h>
extern "C" __global__ void after_include(int a) {}
template <int A, class T = Pair<int>> __global__ void templated(T* x) {}
template <bool B>
__global__ __launch_bounds__(64) void with_bounds(int a) {}
template <class T> __device__ T square(T v) { return v * v; }
#define GREATER(a, b) a >
__global__ void after_define() {}
template <int N> static __global__ void inside(int a) { }
__global__ void nothing(void) { }
""")
    assert {name: s.template for name, s in found.items()} == {
        "after_include": False,
        "templated": True,
        "with_bounds": True,
        "after_define": False,
        "inside": True,
        "nothing": False,
    }
    assert found["nothing"].parameters == () and found["after_define"].parameters == ()


def test_barriers_are_found_through_functions_and_macros():
    found = source.signatures(r"""
#define MEET() \
    __syncthreads()
#define TWICE MEET(); MEET()
#define SQUARE(x) ((x) * (x))
__device__ void direct() { __syncwarp(); }
__device__ void plain(int i) { if (i) { for (;;) { } } }
template <int N> __device__ __forceinline__ float through(float v) { return N > 1 ? reduce(v) : v; }
__device__ float reduce(float v) { return __shfl_down_sync(0xffffffffu, v, 1); }
__device__ auto trailing(float v) -> float { return reduce(v); }
struct Tile { __device__ void load() const { TWICE; } };
extern "C" __global__ void by_function() { direct(); }
extern "C" __global__ void by_macro() { TWICE; }
extern "C" __global__ void by_two_functions(float* x) { x[0] = through<2>(x[0]); }
extern "C" __global__ void by_trailing(float* x) { x[0] = trailing(x[0]); }
extern "C" __global__ void by_method(float* x) { Tile t; t.load(); }
extern "C" __global__ void by_vote(int* x) { x[0] = __syncthreads_or(x[0]); }
extern "C" __global__ void by_ballot(int* x) { x[0] = __ballot_sync(~0u, x[0]); }
extern "C" __global__ void by_lambda(int* x) { auto f = [&](int i) { __syncthreads(); }; f(1); }
extern "C" __global__ void if_constexpr() { if constexpr (1 > 0) { __syncthreads(); } }
extern "C" __global__ void free_1(float* x) { x[0] = SQUARE(x[0]); plain(3); }
extern "C" __global__ void free_2(float* x) { if constexpr (1 > 0) { x[0] = 1; } else if (true) { plain(3); } }
""")
    meets = {name for name, s in found.items() if s.meets}
    assert meets == {name for name in found if name.startswith(("by_", "if_"))}


def test_features_are_found():
    found = source.signatures(source.load(FEATURES))
    free = {
        "thread_numbers",
        "scale",
        "count_atomics",
        "vectors",
        "mathematics",
        "halve",
        "scalars",
        "scale_by_macro",
        "integer_words",
    }
    assert {name for name, s in found.items() if not s.meets} == free
    assert {name for name, s in found.items() if s.template} == {"scale"}
