"""Kernels with one fault each, for test_inspect.py.

The line at fault ends in `// <kind>`, the other side of a race in `// other`.
"""

F, I = "f32", "i32"


def planted(name, text, block=64, grid=1, shared_bytes=0, **arrays):
    """arrays: parameter = (type, count, "full" or "empty") or a number."""
    return {"name": name, "text": text, "block": block, "grid": grid, "shared_bytes": shared_bytes, "arrays": arrays}


def full(n, kind=F):
    return kind, n, "full"


def empty(n, kind=F):
    return kind, n, "empty"


TILE = """extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ float tile[64];
    %s
}"""

PLANTED = [
    # Out of bounds
    planted(
        "tail guard removed",
        """extern "C" __global__ void planted(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i];                                 // out-of-bounds
}""",
        grid=2,
        x=full(100),
        y=empty(100),
        n=100,
    ),
    planted(
        "tail guard of one too many",
        """extern "C" __global__ void planted(float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) y[i] = 1.0f;                     // out-of-bounds
}""",
        grid=2,
        y=empty(100),
        n=100,
    ),
    planted(
        "the left neighbour of the first",
        """extern "C" __global__ void planted(const float* x, float* y) {
    int i = threadIdx.x;
    y[i] = x[i]
        + x[i - 1];                              // out-of-bounds
}""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "off by one in the rows",
        """extern "C" __global__ void planted(const float* x, float* y, int H, int W) {
    int w = threadIdx.x, h = threadIdx.y;
    float v = x[(h + 1) * W + w];                // out-of-bounds
    y[h * W + w] = v;
}""",
        block=(8, 8),
        x=full(64),
        y=empty(64),
        H=8,
        W=8,
    ),
    planted(
        "width and height exchanged",
        """extern "C" __global__ void planted(const float* x, float* y, int H, int W) {
    int w = threadIdx.x, h = threadIdx.y;
    y[h * W + w] = x[w * W + h];                 // out-of-bounds
}""",
        block=(12, 4),
        x=full(48),
        y=empty(48),
        H=4,
        W=12,
    ),
    planted(
        "off by one in the channels",
        """extern "C" __global__ void planted(const float* bias, float* y, int C) {
    int c = threadIdx.x % (C + 1);
    y[threadIdx.x] = bias[c];                    // out-of-bounds
}""",
        bias=full(7),
        y=empty(64),
        C=7,
    ),
    planted(
        "shared array too small",
        TILE
        % """int i = threadIdx.x;
    tile[i + 1] = x[i];                          // out-of-bounds
    __syncthreads();
    y[i] = tile[i];                              // uninitialised""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "shared array read in front",
        TILE
        % """int i = threadIdx.x;
    tile[i] = x[i];
    __syncthreads();
    y[i] = tile[i - 1];                          // out-of-bounds""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "one shared array runs into the next",
        """extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ float a[32], b[64];
    a[threadIdx.x] = x[threadIdx.x];             // out-of-bounds
    b[threadIdx.x] = 0.0f;
    __syncthreads();
    y[threadIdx.x] = b[63 - threadIdx.x] + a[threadIdx.x % 32];
}""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "dynamic shared memory too small",
        """extern "C" __global__ void planted(const float* x, float* y) {
    extern __shared__ float tile[];
    tile[threadIdx.x] = x[threadIdx.x];          // out-of-bounds
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x];     // out-of-bounds
}""",
        shared_bytes=128,
        x=full(64),
        y=empty(64),
    ),
    planted(
        "a float4 past the end",
        """extern "C" __global__ void planted(const float* x, float* y) {
    float4 v = ((const float4*)x)[threadIdx.x];  // out-of-bounds
    y[threadIdx.x] = v.x + v.w;
}""",
        block=16,
        x=full(62),
        y=empty(16),
    ),
    planted(
        "a null pointer",
        """extern "C" __global__ void planted(const float* bias, float* y) {
    y[threadIdx.x] = bias[threadIdx.x];          // out-of-bounds
}""",
        bias=None,
        y=empty(64),
    ),
    planted(
        "an index from data",
        """extern "C" __global__ void planted(const int* index, const float* x, float* y) {
    y[threadIdx.x] = x[index[threadIdx.x]];      // out-of-bounds
}""",
        index=full(64, I),
        x=full(20),
        y=empty(64),
    ),
    planted(
        "an atomic past the end",
        """extern "C" __global__ void planted(const int* x, int* bins) {
    atomicAdd(&bins[x[threadIdx.x]], 1);         // out-of-bounds
}""",
        x=full(64, I),
        bins=full(60, I),
    ),
    # Misaligned
    planted(
        "float4 from an odd start",
        """extern "C" __global__ void planted(const float* x, float* y) {
    float4 v = *(const float4*)(x + 4 * threadIdx.x + 1);    // misaligned
    y[threadIdx.x] = v.x + v.y + v.z + v.w;
}""",
        block=15,
        x=full(64),
        y=empty(16),
    ),
    planted(
        "float4 rows of an odd width",
        """extern "C" __global__ void planted(float* y, int W) {
    *(float4*)(y + threadIdx.x * W) = make_float4(0, 1, 2, 3);   // misaligned
}""",
        block=8,
        y=empty(64),
        W=7,
    ),
    planted(
        "float2 in shared memory",
        TILE
        % """tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x < 31) {
        float2 v = *(float2*)(tile + 2 * threadIdx.x + 1);   // misaligned
        y[threadIdx.x] = v.x + v.y;
    }""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "an int from bytes",
        """extern "C" __global__ void planted(const unsigned char* x, int* y) {
    y[threadIdx.x] = *(const int*)(x + 3 * threadIdx.x);     // misaligned
}""",
        block=16,
        x=full(64, "u8"),
        y=empty(16, I),
    ),
    # Uninitialised
    planted(
        "an output that is added to",
        """extern "C" __global__ void planted(const float* x, float* y) {
    y[threadIdx.x] += x[threadIdx.x];            // uninitialised
}""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "half of shared memory unwritten",
        TILE
        % """if (threadIdx.x < 32) tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];          // uninitialised""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "a sum that starts from nothing",
        """extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ float sum;
    atomicAdd(&sum, x[threadIdx.x]);             // uninitialised
    __syncthreads();
    if (threadIdx.x == 0) y[0] = sum;
}""",
        x=full(64),
        y=empty(1),
    ),
    planted(
        "dynamic shared memory unwritten",
        """extern "C" __global__ void planted(float* y) {
    extern __shared__ float tile[];
    y[threadIdx.x] = tile[threadIdx.x];          // uninitialised
}""",
        shared_bytes=256,
        y=empty(64),
    ),
    planted(
        "the halo of a tile",
        """extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ float tile[66];
    tile[threadIdx.x + 1] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x]           // uninitialised
                   + tile[threadIdx.x + 2];      // uninitialised
}""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "partial results of missing blocks",
        """extern "C" __global__ void planted(const float* parts, float* y, int count) {
    float sum = 0.0f;
    for (int p = 0; p < count; p++) sum += parts[p * 64 + threadIdx.x];      // uninitialised
    y[threadIdx.x] = sum;
}""",
        parts=empty(256),
        y=empty(64),
        count=4,
    ),
    planted(
        "no wait for cp.async",
        """#include <cuda_pipeline.h>
extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ __align__(16) float tile[256];
    __pipeline_memcpy_async(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, 16);
    __pipeline_commit();
    y[threadIdx.x] = tile[4 * threadIdx.x];      // uninitialised
    __pipeline_wait_prior(0);
}""",
        x=full(256),
        y=empty(64),
    ),
    planted(
        "a buffer filled anew without a wait",
        """#include <cuda_pipeline.h>
extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ __align__(16) float tile[256];
    for (int b = 0; b < 2; b++) {
        __pipeline_memcpy_async(tile + 4 * threadIdx.x, x + 256 * b + 4 * threadIdx.x, 16);
        __pipeline_commit();
        if (b == 0) __pipeline_wait_prior(0);
        y[64 * b + threadIdx.x] = tile[4 * threadIdx.x];     // uninitialised
    }
    __pipeline_wait_prior(0);
}""",
        x=full(512),
        y=empty(128),
    ),
    planted(
        "a wait for the wrong batch",
        """#include <cuda_pipeline.h>
extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ __align__(16) float tile[2][256];
    for (int b = 0; b < 2; b++) {
        __pipeline_memcpy_async(&tile[b][4 * threadIdx.x], x + 256 * b + 4 * threadIdx.x, 16);
        __pipeline_commit();
    }
    __pipeline_wait_prior(1);
    __syncthreads();
    y[threadIdx.x] = tile[0][255 - threadIdx.x]
                   + tile[1][255 - threadIdx.x]; // uninitialised
}""",
        x=full(512),
        y=empty(64),
    ),
]
