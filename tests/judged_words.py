"""Kernels judged by what they say in CUDA beyond our own kernels: half, groups, structs, functions; and what stops."""

from judged import Judged

WORDS = [
    Judged(
        "half and bfloat16, to and fro",
        """#include <cuda_fp16.h>
#include <cuda_bf16.h>
extern "C" __global__ void k(const half* x, __nv_bfloat16* y, int n) {
    int i = threadIdx.x;
    if (i < n) y[i] = __float2bfloat16(__half2float(x[i] * __float2half(2.0f)));
}""",
        arguments={"x": "f16[50]", "y": "bf16[50]:empty", "n": "50"},
    ),
    Judged(
        "half, one too far",
        """#include <cuda_fp16.h>
extern "C" __global__ void k(half* x, int n) {
    if (threadIdx.x <= n) x[threadIdx.x] = __float2half(1.0f);
}""",
        arguments={"x": "f16[50]:empty", "n": "50"},
        expected=(("out-of-bounds", "error", 3),),
        says="x[50]",
    ),
    Judged(
        "tiles of 8 reduce, the block waits",
        """#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
extern "C" __global__ void k(const int* x, int* y) {
    __shared__ int part[8];
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<8>(block);
    int sum = cg::reduce(tile, x[block.thread_rank()], cg::plus<int>());
    if (tile.thread_rank() == 0) part[tile.meta_group_rank()] = sum;
    block.sync();
    y[threadIdx.x] = part[threadIdx.x & 7];
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
    ),
    Judged(
        "tiles of 8 reduce, nobody waits",
        """#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void k(const int* x, int* y) {
    __shared__ int part[8];
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<8>(block);
    int sum = x[block.thread_rank()];
    for (int d = tile.size() / 2; d > 0; d /= 2) sum += tile.shfl_down(sum, d);
    if (tile.thread_rank() == 0) part[tile.meta_group_rank()] = sum;
    y[threadIdx.x] = part[threadIdx.x & 7];
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
        expected=(("race", "error", 9),),
    ),
    Judged(
        "atomics on constant elements of every type, in a struct too",
        """struct Sums { int low; unsigned long long wide[3]; float real; };
extern "C" __global__ void k(const int* x, double* y) {
    __shared__ Sums sums;
    __shared__ unsigned long long last[2];
    if (threadIdx.x == 0) { sums = Sums(); last[0] = last[1] = 0; }
    __syncthreads();
    atomicAdd(&sums.low, x[threadIdx.x]);
    atomicAdd(&sums.wide[2], 1ull);
    atomicAdd(&sums.real, 0.5f);
    atomicMax(&last[1], (unsigned long long)threadIdx.x);
    __syncthreads();
    if (threadIdx.x == 0) *y = sums.low + sums.wide[2] + sums.real + last[1];
}""",
        arguments={"x": "i32[64]", "y": "f64[1]:empty"},
    ),
    Judged(
        "a struct by value whose array is too short",
        """struct Image { int width, height; float scale; float* data; };
extern "C" __global__ void k(Image image) {
    int x = threadIdx.x & 7, y = threadIdx.x >> 3;
    if (x < image.width && y <= image.height) image.data[y * image.width + x] *= image.scale;
}""",
        arguments={"image": "{width:8, height:7, scale:0.5, data:f32[56]}"},
        expected=(("out-of-bounds", "error", 4),),
        says="image.data[56]",
    ),
    Judged(
        "a function as an argument",
        """typedef float (*Activation)(float);
__device__ float twice(float x) { return 2 * x; }
__device__ float square(float x) { return x * x; }
extern "C" __global__ void k(const float* x, float* y, Activation f) { y[threadIdx.x] = f(x[threadIdx.x]); }""",
        arguments={"x": "f32[64]", "y": "f32[64]:empty", "f": "square"},
    ),
    Judged(
        "a function as an argument that is null",
        """extern "C" __global__ void k(float* y, float (*f)(float, int)) {
    y[threadIdx.x] = f(1.0f, 2);
}""",
        block=1,
        arguments={"y": "f32[64]:empty", "f": "null"},
        expected=(("stopped", "error", None),),
        complete=False,
    ),
    Judged(
        "a long long divided by zero",
        """extern "C" __global__ void k(const long long* x, const long long* of, long long* y) {
    y[threadIdx.x] = x[threadIdx.x] / of[0];
}""",
        arguments={"x": "i64[64]", "of": "i64[1]:zeros", "y": "i64[64]:empty"},
        expected=(("division", "error", 2),),
    ),
    Judged(
        "an assertion that does not hold",
        """#include <assert.h>
extern "C" __global__ void k(const int* x) {
    assert(x[threadIdx.x] < 100);
}""",
        arguments={"x": "i32[64]:range"},
    ),
    Judged(
        "a trap",
        """extern "C" __global__ void k(int* y) {
    y[threadIdx.x] = 1;
    if (threadIdx.x == 40) __trap();
}""",
        arguments={"y": "i32[64]:empty"},
        expected=(("assert", "error", 3),),
        complete=False,
    ),
    Judged(
        "300 kB of locals in a function",
        """__device__ __noinline__ float deep(const float* x, int n) {
    float kept[75000];
    for (int i = 0; i < n; i++) kept[i] = x[i % 64];
    return kept[n - 1];
}
extern "C" __global__ void k(const float* x, float* y, int n) { y[threadIdx.x] = deep(x, n); }""",
        block=2,
        arguments={"x": "f32[64]", "y": "f32[2]:empty", "n": "1000"},
    ),
    Judged(
        "a wait for what another block would set",
        """extern "C" __global__ void k(int* flag) {
    if (blockIdx.x == 0) while (atomicAdd(flag, 0) == 0) {}
    else atomicExch(flag, 1);
}""",
        grid=2,
        block=1,
        arguments={"flag": "zeros"},
        expected=(("stopped", "error", None),),
        complete=False,
        says="within 2 s",
    ),
]
