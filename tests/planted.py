"""Kernels with one fault each, for test_inspect.py. The line at fault ends in `// <kind>`, the other side of a race in `// other`."""

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

# (file, what stands there, what takes its place, operation, shape and rung, kind, the line: text of the line at fault)
RUNG2 = {
    "n": 2,
    "h": 9,
    "w": 6,
    "ic": 3,
    "oc": 5,
    "kh": 4,
    "kw": 3,
    "stride_h": 2,
    "stride_w": 1,
    "pad_h": 1,
    "pad_w": 0,
}
ROWS = {"rows": 37, "c": 3}
MUTATIONS = [
    (
        "activations.cu",
        "    if (i >= n) return;",
        "",
        "relu_backward",
        {"n": 257},
        "out-of-bounds",
        "dx[i] = y[i] > 0.0f",
    ),
    ("elementwise.cu", "if (i < n) y[i]", "if (i <= n) y[i]", "add", {"n": 255}, "out-of-bounds", "y[i] += x[i]"),
    (
        "random.cu",
        "if (4 * i + k < n) out[4 * i + k] = fmaf(high",
        "out[4 * i + k] = fmaf(high",
        "random_uniform",
        {"n": 1001},
        "out-of-bounds",
        "out[4 * i + k] = fmaf(high",
    ),
    (
        "images.cu",
        "W - 1 - col : col",
        "W - col : col",
        "images_to_float",
        {"n": 5, "h": 8, "w": 9, "c": 4},
        None,
        "y[i] = images",
    ),
    (
        "conv2d/forward_1_textbook.cu",
        "if (h < 0 || h >= H) continue;",
        "",
        "conv2d_forward",
        {**RUNG2, "rung": "textbook"},
        "out-of-bounds",
        "sum += x_pixel[ic]",
    ),
    (
        "conv2d/forward_4_tiled.cu",
        "k < K && (unsigned)h < (unsigned)H",
        "k < K",
        "conv2d_forward",
        {**RUNG2, "rung": "tiled"},
        "out-of-bounds",
        "i < SHARE",
    ),  # the compiler has merged two calls of copy() in this loop: it names the loop
    (
        "conv2d/forward_4_tiled.cu",
        "k0 + row < K && oc0",
        "oc0",
        "conv2d_forward",
        {**RUNG2, "rung": "tiled"},
        "out-of-bounds",
        "i < SHARE",
    ),
    (
        "conv2d/backward_input_1_textbook.cu",
        "up / stride_h >= OH",
        "up / stride_h > OH",
        "conv2d_backward_input",
        {**RUNG2, "rung": "textbook"},
        "out-of-bounds",
        "sum += dy_pixel[oc]",
    ),
    (
        "conv2d/backward_weight_4_tiled.cu",
        "__shared__ __align__(16) float b_s[BUFFERS * BK * BN];",
        "__shared__ __align__(16) float b_s[BUFFERS * BK * BN - 4];",
        "conv2d_backward_weight",
        {**RUNG2, "rung": "tiled"},
        "out-of-bounds",
        "",
    ),
    (
        "include/gemm_tile.cuh",
        "#define A_ROW_PITCH (BK == 8 ? 8 : BK + 4)",
        "#define A_ROW_PITCH (BK + 3)",
        "conv2d_forward",
        {**RUNG2, "rung": "tiled"},
        "misaligned",
        "*(const float4*)(",
    ),
    (
        "include/gemm_tile.cuh",
        "__syncthreads();                                                 // the first piece is there",
        "",
        "conv2d_forward",
        {**RUNG2, "rung": "tiled"},
        "race",
        "",
    ),
    (
        "include/gemm_tile.cuh",
        "        __syncthreads();                                             // the next piece is there",
        "",
        "conv2d_forward",
        {**RUNG2, "rung": "tiled"},
        "race",
        "",
    ),
    (
        "include/reduce.cuh",
        "    __syncthreads();                                         // all values are written",
        "",
        "bce",
        {"n": 257},
        "race",
        "part[threadIdx.x] +=",
    ),
    (
        "include/reduce.cuh",
        "        __syncthreads();                                     // this level",
        "        //",
        "bce",
        {"n": 257},
        "race",
        "part[threadIdx.x] +=",
    ),
    (
        "include/reduce.cuh",
        "    __syncthreads();                                         // an earlier call may still be reading part[0]",
        "",
        "bce",
        {"n": 257},
        "race",
        "part[threadIdx.x] = value",
    ),
    (
        "include/reduce.cuh",
        "    __syncthreads();                                         // all parts are written",
        "",
        "conv2d_backward_bias",
        {**ROWS, "rung": "textbook"},
        "race",
        "value += part[r]",
    ),
    (
        "batchnorm.cu",
        "    __syncthreads();                                                 // every row of threads needs the mean",
        "",
        "batchnorm_statistics",
        ROWS,
        "race",
        "rough[threadIdx.x]",
    ),
    (
        "batchnorm_2_fused.cu",
        "    __syncthreads();                                                 // every row of threads has left its own",
        "",
        "batchnorm_batch",
        ROWS,
        "race",
        "",
    ),
    (
        "batchnorm_2_fused.cu",
        "if (more == 0) break;",
        "",
        "batchnorm_batch",
        {"rows": 2, "c": 1},
        "uninitialised",
        "join((float)n",
    ),
    ("batchnorm.cu", "if (c < C && threadIdx.y == 0) {", "if (c < C) {", "batchnorm_statistics", ROWS, "race", ""),
    (
        "conv2d/backward_weight_4_tiled.cu",
        "s < splits",
        "s <= splits",
        "conv2d_backward_weight",
        {**RUNG2, "rung": "tiled"},
        "out-of-bounds",
        "sum += parts",
    ),
]
