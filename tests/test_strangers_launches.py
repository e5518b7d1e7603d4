"""What a launch is made of where the host code, or nobody, says it: aliases, views, functions, made-up values."""

import numpy as np
import pytest
from test_strangers import INDEX, inspect, lines


def severities(data):
    return sorted((f["kind"], f["line"], f["severity"]) for f in data["findings"])


TREE = f"""__global__ void sums(float* out, const float* in, int n) {{
    extern __shared__ float part[];
    {INDEX}
    part[threadIdx.x] = i < n ? in[i] : 0;
    __syncthreads();
    for (int s = blockDim.x / 2; s; s /= 2) {{
        if (threadIdx.x < s) part[threadIdx.x] += part[threadIdx.x + s];
        __syncthreads();
    }}
    if (threadIdx.x == 0) out[blockIdx.x] = part[0];
}}
void reduce(float* out, float* in, int n_threads, int n) {{
    sums<<<(n + n_threads - 1) / n_threads, n_threads, n_threads * sizeof(float)>>>(out, BESIDE, n);
}}
"""


def test_the_same_array_twice_is_the_same_array(tmp_path, capsys):
    code, data, err = inspect(tmp_path, capsys, TREE.replace("BESIDE", "out"), "--launch")
    launch = data["costs"][0]["launch"]
    assert launch["arguments"]["in"] == {"value": "&out", "from": "read"}, err
    assert launch["block"]["value"] == [256, 1, 1] and launch["grid"]["value"] == [4, 1, 1]
    assert code == 1 and lines(data) == [("race", 10)]
    code, data, _ = inspect(tmp_path, capsys, TREE.replace("BESIDE", "in"), "--launch")
    assert code == 0 and data["findings"] == []


def test_the_same_array_is_given(tmp_path, capsys):
    text = "__global__ void k(float* y, const float* x) { y[threadIdx.x] = x[threadIdx.x + 1]; }"
    given = ("--grid", 1, "--block", 64, "--arg", "y=f32[65]")
    code, data, _ = inspect(tmp_path, capsys, text, *given, "--arg", "x=&y")
    assert code == 1 and lines(data) == [("race", 1)]
    code, _, err = inspect(tmp_path, capsys, text, *given, "--arg", "x=&z")
    assert code == 2 and "need an earlier array of float (y), got '&z'" in err


def test_half_of_an_allocation_seen_as_float4(tmp_path, capsys):
    text = f"""typedef struct {{ float4 *pos, *vel; }} Bodies;
__global__ void move(float4* pos, const float4* vel, int n) {{
    {INDEX}
    if (i < n) pos[i].x += vel[i].x;
}}
int main() {{
    int n = 1000;
    float *buffer, *host = (float*)malloc(2 * n * sizeof(float4));
    cudaMalloc(&buffer, 2 * n * sizeof(float4));
    Bodies bodies = {{ (float4*)buffer, ((float4*)buffer) + n }};
    cudaMemcpy(buffer, host, 2 * n * sizeof(float4), cudaMemcpyHostToDevice);
    move<<<4, 256>>>(bodies.pos, bodies.vel, n);
}}
"""
    code, data, err = inspect(tmp_path, capsys, text, "--launch")
    values = data["costs"][0]["launch"]["arguments"]
    assert (values["pos"]["value"], values["vel"]["value"], code) == ("[8000]", "[4000]", 0), err


FUNCTIONS = """typedef float (*Step)(float, int);
__device__ float up(float x, int n) { return x + n; }
__device__ float down(float x, int n) { return x - n; }
__device__ float other(float x) { return x; }
__global__ void k(const float* x, float* y, Step f) { y[threadIdx.x] = f(x[threadIdx.x], 3); }
"""


@pytest.mark.parametrize("given, step", [((), 3), (("--arg", "f=down"), -3)])
def test_a_function_is_an_argument(tmp_path, capsys, given, step):
    np.save(tmp_path / "want.npy", np.arange(32, dtype=np.float32) + step)
    arguments = ("--grid", 1, "--block", 32, "--arg", "x=f32[32]:range", "--arg", "y=f32[32]", *given)
    code, data, err = inspect(tmp_path, capsys, FUNCTIONS, *arguments, "--expect", f"y=@{tmp_path}/want.npy")
    assert code == 0 and data["costs"][0]["launch"]["arguments"]["f"]["value"] == ("down" if given else "up"), err


def test_another_function_is_refused(tmp_path, capsys):
    code, _, err = inspect(tmp_path, capsys, FUNCTIONS, "--arg", "f=other")
    assert code == 2 and "f: need a function for Step (up, down) or null, got 'other'" in err


def test_a_finding_that_rests_on_made_up_values_is_a_warning(tmp_path, capsys):
    text = f"""__global__ void scatter(float* y, const float* x, const int* at, int n) {{
    {INDEX}
    if (i < n) y[at[i] - 3] = x[i];
}}"""
    code, data, err = inspect(tmp_path, capsys, text)
    assert code == 0 and {f["severity"] for f in data["findings"]} == {"warning"}, err
    assert "--arg at=@file.npy" in data["findings"][0]["message"]
    given = ("--arg", "y=f32[1000]", "--arg", "x=f32[1000]", "--arg", "n=1000")
    np.save(tmp_path / "at.npy", np.arange(1000, dtype=np.int32))
    code, data, _ = inspect(tmp_path, capsys, text, *given, "--arg", f"at=@{tmp_path}/at.npy")
    assert code == 1 and severities(data) == [("out-of-bounds", 3, "error")]


def test_a_position_that_an_atomic_returned_may_still_race(tmp_path, capsys):
    text = "__global__ void k(int* n, int* y) { int at = atomicAdd(n, threadIdx.x / 2); y[at] = threadIdx.x; }"
    code, data, _ = inspect(tmp_path, capsys, text, "--grid", 1, "--block", 64)
    assert code == 1 and ("race", 1, "error") in severities(data)


def test_each_pointer_of_an_array_of_them_has_an_array(tmp_path, capsys):
    text = """struct Rows { float* row[3]; int n; };
__global__ void k(Rows r) { if (threadIdx.x <= r.n) r.row[2][threadIdx.x] = 1; }"""
    arguments = ("--grid", 1, "--block", 32, "--arg")
    code, data, err = inspect(tmp_path, capsys, text, *arguments, "r={row:f32[20], n:19}")
    assert code == 0, err
    code, data, _ = inspect(tmp_path, capsys, text, *arguments, "r={row:f32[20], n:20}")
    assert code == 1 and lines(data) == [("out-of-bounds", 2)] and "row[2]" in data["findings"][0]["array"]


def test_a_loop_over_the_grid_reaches_far(tmp_path, capsys):
    text = """__global__ void pairs(const float2* x, float2* y, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = x[i];
}
int main() { pairs<<<8, 256>>>(mine.x, mine.y, 3000000); }"""
    code, data, err = inspect(tmp_path, capsys, text, "--launch")
    assert code == 0 and data["costs"][0]["launch"]["arguments"]["y"]["value"] == "[6000000]", err


ACCEPTED = {
    "a namespace that nobody opened": """using namespace elsewhere;
namespace elsewhere { struct S { int n; }; }
__global__ void k(float* y) { y[threadIdx.x] = 1; }""",
    "complex numbers": """#include <cuComplex.h>
__global__ void k(cufftComplex* y, cuDoubleComplex* z) {
    y[threadIdx.x] = cuCmulf(make_cuComplex(1, 2), cuConjf(make_cuComplex(3, 4)));
    z[threadIdx.x] = cuCdiv(make_cuDoubleComplex(1, 2), z[threadIdx.x]);
}""",
    "complex numbers of one's own": """struct cuComplex {
    float r, i;
    __device__ cuComplex(float a, float b) : r(a), i(b) {}
    __device__ float size() { return r * r + i * i; }
};
__global__ void k(float* y) { y[threadIdx.x] = cuComplex(1, 2).size(); }""",
    "an array of structs with an array of float2": """struct Curve { float2 points[3]; int n; };
__global__ void k(Curve* c) { c[threadIdx.x].points[2].x = c[threadIdx.x].points[1].y; }""",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(tmp_path, capsys, name):
    code, data, err = inspect(tmp_path, capsys, ACCEPTED[name], "--grid", 1, "--block", 32, symbol="k")
    assert code == 0 and data["findings"] == [], (err, data and data["findings"])


def test_a_file_whose_kernels_lie_beside_it(tmp_path, capsys):
    (tmp_path / "sums.cuh").write_text(TREE.partition("void reduce")[0])
    text = '#include "sums.cuh"\nint main() { sums<<<4, 256, 1024>>>(y, x, 1000); }'
    assert "no kernel in this file" in inspect(tmp_path, capsys, text.replace("sums<<<", "none<<<"))[2]
    code, data, err = inspect(tmp_path, capsys, text, "--launch")
    assert code == 0 and data["costs"][0]["file"].endswith("my.cu"), err


def test_two_elements_a_thread_without_a_guard(tmp_path, capsys):
    text = """__global__ void twice(float* y, const float* x, int length) {
    int i = blockIdx.x * 2 * blockDim.x + threadIdx.x;
    y[i] = 2 * x[i];
    y[i + blockDim.x] = 2 * x[i + blockDim.x];
}"""
    code, data, err = inspect(tmp_path, capsys, text, "--grid", 2, "--block", 256)
    assert code == 1 and lines(data) == [("out-of-bounds", 4)] * 2, err


def test_loops_of_the_host_are_followed_to_their_end(tmp_path, capsys):
    text = """__global__ void reversed(const float* x, float* y, int n, int bits) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[__brev(i) >> (32 - bits)] = x[i];
}
void permute(const float* x, float* y, int n) {
    int bits = 0, left = n;
    while (left > 1) { bits++; left >>= 1; }
    reversed<<<(n + 255) / 256, 256>>>(x, y, n, bits);
}
void solve(const float* x, int n) {
    int whole = 1;
    while (whole < 2 * n) whole *= 2;
    float* y;
    cudaMalloc(&y, whole * sizeof(float));
    permute(x, y, whole);
}"""
    code, data, err = inspect(tmp_path, capsys, text, "--launch")
    values = {n: v["value"] for n, v in data["costs"][0]["launch"]["arguments"].items()}
    assert (code, values["n"], values["bits"], values["y"]) == (0, "2048", "11", "[2048]"), err


def test_a_pointer_into_the_middle_may_look_back(tmp_path, capsys):
    text = """__global__ void left(const float* x, float* y) { y[threadIdx.x] = x[(int)threadIdx.x - 1]; }
int main() {
    float *x, *y;
    cudaMalloc(&x, 65 * sizeof(float));
    cudaMalloc(&y, 64 * sizeof(float));
    left<<<1, 64>>>(x + 1, y);
}"""
    code, data, err = inspect(tmp_path, capsys, text, "--launch")
    assert code == 0 and severities(data) == [("out-of-bounds", 1, "warning")], err
    code, data, _ = inspect(tmp_path, capsys, text.replace("x + 1", "x"), "--launch")
    assert code == 1 and ("out-of-bounds", 1, "error") in severities(data)


def test_a_switch_of_the_host_is_followed_into_its_case(tmp_path, capsys):
    text = """template <int N> __global__ void sums(const float* x, float* y) {
    __shared__ float part[N];
    part[threadIdx.x] = x[blockIdx.x * N + threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = part[0] + part[N - 1];
}
void run(const float* x, float* y, int threads) {
    switch (threads) {
        case 512: sums<512><<<4, threads>>>(x, y); break;
        case 256: sums<256><<<4, threads>>>(x, y); break;
    }
}
int main() { run(x, y, 256); }"""
    code, data, err = inspect(tmp_path, capsys, text, "--launch")
    launch = data["costs"][0]["launch"]
    assert (code, launch["block"]["value"], launch["template"]["value"]) == (0, [256, 1, 1], ["256"]), err


def test_arrays_too_large_are_refused_before_they_are_filled(tmp_path, capsys):
    text = """__global__ void k(float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
int main() { float *x, *y; cudaMalloc(&x, 1500000000); cudaMalloc(&y, 1500000000); k<<<1, 32>>>(x, y); }"""
    code, _, err = inspect(tmp_path, capsys, text, "--launch")
    assert code == 2 and "need at most 2048 MiB in all, got 2861 MiB for k: choose a smaller shape" in err
