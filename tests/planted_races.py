"""More kernels with one fault each: races, and barriers that not all threads reach (planted.py)."""

from planted import TILE, I, empty, full, planted

RACES = [
    # Races
    planted(
        "no barrier after the load",
        TILE
        % """int i = threadIdx.x;
    tile[i] = x[i];                              // other
    y[i] = tile[63 - i];                         // race""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "no barrier before the next load",
        TILE
        % """int i = threadIdx.x;
    for (int k = 0; k < 2; k++) {
        tile[i] = x[i];                          // race
        __syncthreads();
        y[i] = tile[63 - i];                     // other
    }""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "a reduction without its barriers",
        TILE
        % """int i = threadIdx.x;
    tile[i] = x[i];
    __syncthreads();
    for (int half = 32; half > 0; half /= 2)
        if (i < half) tile[i] += tile[i + half]; // race
    if (i == 0) y[0] = tile[0];""",
        x=full(64),
        y=empty(1),
    ),
    planted(
        "no __syncwarp in a warp",
        """extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ float tile[32];
    int lane = threadIdx.x;
    tile[lane] = x[lane];                        // other
    y[lane] = tile[31 - lane];                   // race
}""",
        block=32,
        x=full(32),
        y=empty(32),
    ),
    planted(
        "__syncwarp where two warps share",
        TILE
        % """int i = threadIdx.x;
    tile[i] = x[i];                              // other
    __syncwarp();
    y[i] = tile[63 - i];                         // race""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "a __syncwarp of half the warp",
        """extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ float tile[32];
    int lane = threadIdx.x;
    tile[lane] = x[lane];                        // other
    __syncwarp(lane < 16 ? 0x0000ffffu : 0xffff0000u);
    y[lane] = tile[31 - lane];                   // race
}""",
        block=32,
        x=full(32),
        y=empty(32),
    ),
    planted(
        "cp.async waited for, but no barrier",
        """#include <cuda_pipeline.h>
extern "C" __global__ void planted(const float* x, float* y) {
    __shared__ __align__(16) float tile[256];
    __pipeline_memcpy_async(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);                    // other
    y[threadIdx.x] = tile[(4 * threadIdx.x + 100) % 256];    // race
}""",
        x=full(256),
        y=empty(64),
    ),
    planted(
        "all threads write one result",
        """extern "C" __global__ void planted(const float* x, float* y) {
    y[0] = x[threadIdx.x];                       // race
}""",
        x=full(64),
        y=empty(1),
    ),
    planted(
        "a count without an atomic",
        """extern "C" __global__ void planted(const int* x, int* bins) {
    bins[x[threadIdx.x] % 8] += 1;               // race
}""",
        x=full(64, I),
        bins=full(8, I),
    ),
    planted(
        "a count of two blocks",
        """extern "C" __global__ void planted(int* count) {
    if (threadIdx.x == 0) count[0] += 1;         // race
}""",
        grid=3,
        count=full(1, I),
    ),
    planted(
        "a block reads its neighbour's result",
        """extern "C" __global__ void planted(float* x) {
    int i = blockIdx.x * 64 + threadIdx.x;
    float v = x[(i + 64) % 128];                 // other race
    x[i] = v + 1.0f;                             // race other
}""",
        grid=2,
        x=full(128),
    ),
    planted(
        "blocks that overlap",
        """extern "C" __global__ void planted(float* y) {
    y[blockIdx.x * 60 + threadIdx.x] = 1.0f;     // race
}""",
        grid=2,
        y=empty(128),
    ),
    planted(
        "an atomic here, a plain read there",
        """extern "C" __global__ void planted(int* count, int* y) {
    atomicAdd(count, 1);                         // other
    y[blockIdx.x * 64 + threadIdx.x] = *count;   // race
}""",
        grid=2,
        count=full(1, I),
        y=empty(128, I),
    ),
    planted(
        "in place, with a neighbour",
        """extern "C" __global__ void planted(float* x) {
    int i = threadIdx.x;
    float v = i < 63 ? x[i + 1] : 0.0f;          // race other
    x[i] += v;                                   // race other
}""",
        x=full(64),
    ),
    planted(
        "the last block sums without a fence",
        """extern "C" __global__ void planted(float* parts, int* done, float* y) {
    __shared__ int last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = 1.0f;                // other
        last = atomicAdd(done, 1) == gridDim.x - 1;
        if (last) for (int b = 0; b < gridDim.x; b++) y[b] = parts[b];       // race
    }
}""",
        grid=4,
        parts=empty(4),
        done=("i32", 1, "zero"),
        y=empty(4),
    ),
    # Barriers
    planted(
        "a barrier behind a condition",
        TILE
        % """int i = threadIdx.x;
    tile[i] = x[i];
    if (i < 32) __syncthreads();                 // barrier
    y[i] = tile[i];""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "return before the barrier",
        TILE
        % """int i = threadIdx.x;
    if (i >= 60) return;
    tile[i] = x[i];
    __syncthreads();                             // barrier
    y[i] = tile[59 - i];""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "two barriers for two halves",
        TILE
        % """int i = threadIdx.x;
    tile[i] = x[i];
    if (i < 32) __syncthreads();                 // barrier other
    else __syncthreads();                        // barrier other
    y[i] = tile[63 - i];""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "a loop with more barriers for some",
        TILE
        % """int i = threadIdx.x;
    tile[i] = x[i];
    for (int k = 0; k <= i / 32; k++) __syncthreads();       // barrier
    y[i] = tile[i];""",
        x=full(64),
        y=empty(64),
    ),
    planted(
        "a shuffle that a lane misses",
        """extern "C" __global__ void planted(const float* x, float* y) {
    float v = x[threadIdx.x];
    if (threadIdx.x != 5) v += __shfl_xor_sync(0xffffffffu, v, 1);           // barrier
    y[threadIdx.x] = v;
}""",
        block=32,
        x=full(32),
        y=empty(32),
    ),
]
