"""Files as people have them: host code, other kernels, words in any order, CUDA beyond what our own kernels use."""

import json

import numpy as np
import pytest

from dcgan_cupy.workbench import command

INDEX = "int i = blockIdx.x * blockDim.x + threadIdx.x;"
PROGRAM = """#include <cstdio>
#include <iostream>
#include "missing_helper.h"
#define CHECK(x) do { cudaError_t e = (x); if (e) printf("%d", e); } while (0)
constexpr int N = 1000;
__global__ void other(long long* t) { asm volatile("bar.sync 0;"); }
__device__ float twice(float v) { return 2 * v; }
std::string host_only() { return "brace } in a string"; }
__global__ void scale(const float* x, float* y, float a, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * twice(x[i]);
}
int main(int argc, char** argv) {
    int n = argc > 1 ? atoi(argv[1]) : N;
    size_t bytes = n * sizeof(float);
    float *x, *y;
    CHECK(cudaMalloc((void**)&x, bytes));
    CHECK(cudaMalloc(&y, bytes));
    cudaMemcpy(x, y, bytes, cudaMemcpyHostToDevice);
    dim3 block(128);
    scale<<<(n + block.x - 1) / block.x, block>>>(x, y, 0.25f, n);
    std::cout << host_only() << std::endl;
}
"""


def inspect(tmp_path, capsys, text, *arguments, name="my.cu", symbol=None):
    """Exit code and the --json document (None where there is none), and stderr."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    target = f"{path}:{symbol}" if symbol else str(path)
    code = command.main([target, "--json", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, json.loads(out[out.index('{\n "findings"') :]) if "{" in out else None, err


def lines(data):
    return sorted((f["kind"], f["line"]) for f in data["findings"])


def test_launch_is_read_from_the_host_code(tmp_path, capsys):
    code, data, err = inspect(tmp_path, capsys, PROGRAM, "--launch", symbol="scale")
    assert code == 0, err
    launch = data["costs"][0]["launch"]
    assert launch["grid"] == {"value": [8, 1, 1], "from": "read"} and launch["block"]["value"] == [128, 1, 1]
    assert launch["arguments"] == {
        "x": {"value": "[1000]", "from": "read"},
        "y": {"value": "[1000]:empty", "from": "read"},
        "a": {"value": "0.25", "from": "read"},
        "n": {"value": "1000", "from": "read"},
    }
    assert launch["read_from"]["line"] == 21


def test_a_launch_that_is_wrong_on_the_host_is_found(tmp_path, capsys):
    code, data, _ = inspect(
        tmp_path, capsys, PROGRAM.replace("cudaMalloc(&y, bytes)", "cudaMalloc(&y, n)"), "--launch", symbol="scale"
    )
    assert code == 1 and lines(data) == [("out-of-bounds", 11)]


def test_sizes_that_nobody_gave_leave_a_tail(tmp_path, capsys):
    text = f"__global__ void k(const float* x, float* y, int n) {{ {INDEX}\n if (i < n) y[i] = x[i]; }}"
    code, data, _ = inspect(tmp_path, capsys, text)
    launch = data["costs"][0]["launch"]
    assert code == 0 and launch["arguments"]["n"] == {"value": "1000", "from": "proposed"}
    assert launch["arguments"]["x"]["value"] == "[1000]" and launch["grid"]["value"] == [4, 1, 1]
    for wrong in ("if (i <= n)", "if (i > n) return; else", ""):
        code, data, _ = inspect(tmp_path, capsys, text.replace("if (i < n)", wrong))
        assert code == 1 and {k for k, _ in lines(data)} == {"out-of-bounds"}, wrong


def test_a_guard_that_was_never_false_is_said(tmp_path, capsys):
    text = f"__global__ void k(const float* x, float* y, int n) {{ {INDEX}\n if (i < n) y[i] = x[i]; }}"
    arguments = ("--grid", 4, "--block", 256, "--arg", "x=f32[1024]", "--arg", "y=f32[1024]")
    _, data, _ = inspect(tmp_path, capsys, text, *arguments, "--arg", "n=1024")
    assert "the guard at line 2 was never false" in data["costs"][0]["notes"][0]
    _, data, _ = inspect(tmp_path, capsys, text, *arguments, "--arg", "n=1000")
    assert data["costs"][0]["notes"] == []


BODY = "y[threadIdx.x] = 1;"
ACCEPTED = {
    "words in any order": f"void __global__ k(float* y) {{ {BODY} }}",
    "launch bounds behind": f"__global__ void __launch_bounds__(32, 2) k(float* y) {{ {BODY} }}",
    "namespace": f"namespace mine {{ __global__ void k(float* y) {{ {BODY} }} }}",
    "anonymous namespace": f"namespace {{ __global__ void k(float* y) {{ {BODY} }} }}",
    "default argument": f"__global__ void k(float* y, int n = 3, float* z = nullptr) {{ {BODY} }}",
    "typedefs": "typedef float real; using index_t = unsigned int;\n"
    "__global__ void k(real* y, real a, index_t n, long m, size_t o) { if (threadIdx.x < n) y[threadIdx.x] = a; }",
    "enum": "enum Mode { PLAIN, DOUBLE = 4, NEXT };\n"
    "__global__ void k(float* y, Mode m) { y[threadIdx.x] = m == NEXT ? 1 : 2; }",
    "names of ours": "__device__ float same(float x) { return x; }\n#define VECTOR2 2\n#define CANARY 3\n"
    "__device__ int fibers() { return VECTOR2 + CANARY; }\n"
    "__global__ void k(float* y) { y[threadIdx.x] = same(1) + fibers(); }",
    "extern shared, words turned": "__global__ void k(float* y) { extern float __shared__ pool[];\n"
    "pool[threadIdx.x] = 1; y[threadIdx.x] = pool[threadIdx.x]; }",
    "extern shared, aligned": "template <class T> __global__ void k(T* y) {\n"
    "extern __shared__ __align__(sizeof(double)) unsigned char raw[]; T* p = reinterpret_cast<T*>(raw);\n"
    "p[threadIdx.x] = 1; y[threadIdx.x] = p[threadIdx.x]; }",
    "a struct with host methods": "#include <string>\nstruct Box { int n; float a;\n"
    "std::string name() const { return {}; }\n__device__ float at(int i) const { return a * i; } };\n"
    "__global__ void k(float* y, Box b) { y[threadIdx.x] = b.at(b.n); }",
    "a struct with a base": "struct Base { char tag; };\nstruct Derived : public Base { double a; };\n"
    "__global__ void k(float* y, Derived d) { y[threadIdx.x] = d.a + d.tag; }",
    "operators": "__device__ float2 operator+(float2 a, float2 b) { return make_float2(a.x + b.x, a.y + b.y); }\n"
    "__global__ void k(float* y) { float2 s = make_float2(1, 2) + make_float2(3, 4); y[threadIdx.x] = s.x + s.y; }",
    "conditionals": "#if __CUDA_ARCH__ >= 600 && defined(__CUDACC__)\n__device__ float v() { return 1; }\n#else\n"
    "#error no\n#endif\n__global__ void k(float* y) { y[threadIdx.x] = v(); }",
    "float4 by value": "__global__ void k(float* y, float4 v) { y[threadIdx.x] = v.x + v.w; }",
    "std": "#include <algorithm>\n__global__ void k(float* y) {\n"
    "y[threadIdx.x] = std::max(1.0f, FLT_MAX) + std::numeric_limits<int>::max(); }",
    "printf": "#include <cstdio>\n__global__ void k(float* y) {\n"
    'if (threadIdx.x == 0) printf("hello\\n"); y[threadIdx.x] = 1; }',
    "curand": "#include <curand_kernel.h>\n__global__ void k(float* y) { curandStatePhilox4_32_10_t s;\n"
    "curand_init(7, threadIdx.x, 0, &s); y[threadIdx.x] = curand_uniform(&s) + curand_normal4(&s).x; }",
    "the clock": "__global__ void k(float* y) { long long t = clock64(); y[threadIdx.x] = clock() > t; }",
    "coalesced threads": "#include <cooperative_groups.h>\nnamespace cg = cooperative_groups;\n"
    "__global__ void k(float* y) { y[threadIdx.x] = 0;\n"
    "if (threadIdx.x % 3 == 1) { auto g = cg::coalesced_threads();\n"
    "y[threadIdx.x] = g.size() + cg::reduce(g, 1.0f, cg::plus<float>()) + g.shfl(2.0f, 0); } }",
    "active mask": "__global__ void k(float* y) { y[threadIdx.x] = 0;\n"
    "if (threadIdx.x % 2) { unsigned m = __activemask();\n"
    "y[threadIdx.x] = __shfl_sync(m, 1.0f, 1) + __popc(m); } }",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(tmp_path, capsys, name):
    more = ["--block", 32, "--grid", 1, "--shared-bytes", 256]
    if name == "float4 by value":
        more += ["--arg", "v={1,2,3,4}"]
    if name == "enum":
        more += ["--arg", "m=NEXT"]
    code, data, err = inspect(tmp_path, capsys, ACCEPTED[name], *more, symbol="k")
    assert code == 0 and data["findings"] == [], (err, data and data["findings"])


@pytest.mark.parametrize(
    "text, name",
    [
        (b"\xef\xbb\xbf__global__ void k(float* y) { y[threadIdx.x] = 1; }", "bom.cu"),
        (b"// caf\xe9\r\n__global__ void k(float* y) {\r\n  y[threadIdx.x] = 1;\r\n}\r\n", "latin1.cu"),
        ("// größer\n__global__ void k(float* y) { y[threadIdx.x] = 1; }".encode(), "schlüssel datei.cu"),
    ],
)
def test_encodings_and_names(tmp_path, capsys, text, name):
    code, data, err = inspect(tmp_path, capsys, text, "--block", 32, "--grid", 1, name=name)
    assert code == 0 and data["costs"][0]["file"].endswith(name), err


def test_groups_order_what_they_join_and_nothing_else(tmp_path, capsys):
    text = """#include <cooperative_groups.h>
using namespace cooperative_groups;
__global__ void k(const float* x, float* y) {
    __shared__ float s[64];
    thread_block b = this_thread_block();
    s[b.thread_rank()] = x[threadIdx.x];
    b.sync();
    auto t = tiled_partition<16>(b);
    float sum = reduce(t, s[63 - threadIdx.x], plus<float>());
    y[threadIdx.x] = sum + t.meta_group_rank();
}"""
    arguments = ("--block", 64, "--grid", 1, "--arg", "x=f32[64]:ones", "--arg", "y=f32[64]")
    np.save(tmp_path / "want.npy", np.repeat([16, 17, 18, 19], 16).astype(np.float32))
    code, data, _ = inspect(tmp_path, capsys, text, *arguments, "--expect", f"y=@{tmp_path}/want.npy")
    assert code == 0 and data["values"][0]["wrong"] == 0
    code, data, _ = inspect(tmp_path, capsys, text.replace("    b.sync();\n", ""), *arguments)
    assert code == 1 and lines(data)[0][0] == "race"
    code, _, err = inspect(tmp_path, capsys, text.replace("b.sync()", "this_grid().sync()"), *arguments)
    assert code == 2 and ":7: compile: " in err and "two launches do the same" in err


INTRINSICS = [
    ("__umul24(0x1000003u, 5u)", 15),
    ("__byte_perm(0x33221100, 0x77665544, 0x6420)", 0x66442200),
    ("__dp4a(0x01020304, 0x01010101, 5)", 15),
    ("__funnelshift_l(0x80000000u, 1u, 1)", 3),
    ("__clzll(1)", 63),
    ("__ffsll(8)", 4),
    ("__sad(3, -4, 10u)", 17),
    ("__float2uint_rn(2.5f)", 2),
    ("__double2hiint(1.0)", 0x3FF00000),
    ("(int)__longlong_as_double(0x4008000000000000ll)", 3),
    ("(int)(1000 * __tanf(0.5f))", 546),
    ("(int)(10 * __fadd_ru(0.1f, 0.2f))", 3),
    ("__vadd4(0x01ff0203, 0x01010101)", 0x02000304),
    ("__popc(__match_any_sync(0xffffffffu, threadIdx.x / 8))", 8),
    ("__reduce_add_sync(0xffffffffu, 2u)", 64),
    ("__reduce_min_sync(0xffffffffu, -3)", -3 & 0xFFFFFFFF),
    ("(int)__half2float(__hadd(__float2half(1.5f), __float2half(2.0f)) * half(2))", 7),
    ("(int)__low2float(__hfma2(__floats2half2_rn(2, 3), __float2half2_rn(4), __float2half2_rn(1)))", 9),
    ("(int)(1000 * __bfloat162float(__float2bfloat16(1.00390625f)))", 1000),
    ("max(-1, 1u)", 0xFFFFFFFF),
    ("__brevll(1) >> 63", 1),
    ("__CUDA_ARCH__ >= 700", 1),
]


def test_intrinsics_have_cudas_values(tmp_path, capsys):
    rows = "\n".join(f"    v[{i}] = (unsigned)({text});" for i, (text, _) in enumerate(INTRINSICS))
    text = f"""#include <cuda_fp16.h>
#include <cuda_bf16.h>
__global__ void k(unsigned* y) {{
    unsigned v[{len(INTRINSICS)}];
{rows}
    if (threadIdx.x == 0) for (int i = 0; i < {len(INTRINSICS)}; i++) y[i] = v[i];
}}"""
    np.save(tmp_path / "want.npy", np.array([value for _, value in INTRINSICS], np.uint32))
    arguments = ("--block", 32, "--grid", 1, "--arg", f"y=u32[{len(INTRINSICS)}]", "--expect", f"{tmp_path}/want.npy")
    code, data, err = inspect(tmp_path, capsys, text, *arguments)
    assert code == 0, (err, data and (INTRINSICS[data["values"][0]["first"][0]], data["values"]))


def test_atomics_of_every_scope(tmp_path, capsys):
    text = """__global__ void k(unsigned* y) {
    atomicDec(&y[0], 7u); atomicAdd_block(&y[1], 1u); atomicMax_system(&y[2], threadIdx.x); atomicInc(&y[3], 4u);
}"""
    np.save(tmp_path / "want.npy", np.array([0, 64, 31, 4], np.uint32))
    code, data, _ = inspect(
        tmp_path,
        capsys,
        text,
        "--block",
        32,
        "--grid",
        2,
        "--arg",
        "y=u32[4]:zeros",
        "--expect",
        f"{tmp_path}/want.npy",
    )
    assert code == 0 and data["findings"] == [], data["values"]


def test_structs_by_value_and_their_arrays(tmp_path, capsys):
    text = """struct Matrix { char kind; int width; double scale; float* data; float3 offset; };
__global__ void k(Matrix m, float* y) {
    int i = threadIdx.x;
    if (i <= m.width) y[i] = m.data[i] * m.scale + m.offset.z;
}"""
    arguments = ("--block", 32, "--grid", 1, "--arg", "y=f32[32]:zeros")
    given = "m={width:20, scale:0.5, data:f32[21]:ones, offset:{1,2,3}}"
    np.save(tmp_path / "want.npy", np.where(np.arange(32) <= 20, 3.5, 0).astype(np.float32))
    code, data, err = inspect(tmp_path, capsys, text, *arguments, "--arg", given, "--expect", f"{tmp_path}/want.npy")
    assert code == 0, (err, data and data["values"])
    code, data, _ = inspect(tmp_path, capsys, text, *arguments, "--arg", given.replace("[21]", "[20]"))
    assert lines(data) == [("out-of-bounds", 4)] and data["findings"][0]["array"] == "m.data[20]"
    code, _, err = inspect(tmp_path, capsys, text, *arguments, "--arg", "m=3")
    assert code == 2 and "need {kind:1, width:1, scale:1, data:f32[64], offset:1}" in err


def test_assertions_are_findings(tmp_path, capsys):
    text = (
        "#include <cassert>\n__global__ void k(float* y) {\n    assert(threadIdx.x < 20);\n    y[threadIdx.x] = 1;\n}"
    )
    code, data, _ = inspect(tmp_path, capsys, text, "--block", 32, "--grid", 1)
    assert code == 3 and lines(data) == [("assert", 3)] and data["findings"][0]["thread"] == [20, 0, 0]
    assert data["complete"] is False


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "__global__ void k(float** rows) { rows[0][0] = 1; }",
            "rows: need a pointer to numbers or structs, got float\\*\\*",
        ),
        ("__device__ float f(float);\n__global__ void other(float* y);\n", "need one of other"),
        ("#define N 3\nint main() { return N; }", "no kernel in this file"),
        (
            "__global__ void k(float* y,\ncudaTextureObject_t t) { y[0] = tex2D<float>(t, 0, 0); }",
            ":2: unsupported: .*__ldg",
        ),
        ("#if (\n__global__ void k() {}\n#endif", ":1: preprocessor: "),
    ],
)
def test_refused_in_one_sentence(tmp_path, capsys, text, message):
    import re

    code, _, err = inspect(tmp_path, capsys, text, symbol="k")
    assert code == 2 and re.search(message, err) and err.count("\n") == 1, err


@pytest.mark.parametrize(
    "fill, want", [("zeros", [0, 0, 0, 0]), ("ones", [1, 1, 1, 1]), ("range", [0, 1, 2, 3]), ("identity", [1, 0, 0, 1])]
)
def test_fills(tmp_path, capsys, fill, want):
    text = "__global__ void k(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }"
    np.save(tmp_path / "want.npy", np.array(want, np.float32))
    shape = "[2,2]" if fill == "identity" else "[4]"
    given = ("--arg", f"x=f32{shape}:{fill}", "--arg", "y=f32[4]", "--block", 4, "--grid", 1)
    code, data, err = inspect(tmp_path, capsys, text, *given, "--expect", f"y=@{tmp_path}/want.npy")
    assert code == 0, (err, data)


def test_proposed_sizes_hold_every_block(tmp_path, capsys):
    text = """__global__ void k(const float* A, const float* B, float* C, int M, int N, int K) {
    int row = blockIdx.y * blockDim.y + threadIdx.y, col = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= M || col >= N) return;
    float sum = 0;
    for (int i = 0; i < K; i++) sum += A[row * K + i] * B[i * N + col];
    C[row * N + col] = sum;
}"""
    code, data, err = inspect(tmp_path, capsys, text)
    assert code == 0 and data["costs"][0]["launch"]["arguments"]["A"]["from"] == "proposed", (err, data)
