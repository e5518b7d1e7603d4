"""More kernels of the kinds of judged.py: memory of every space, what orders threads, and their sound twins."""

from judged import Judged

SPACES = [
    Judged(
        "three warps read, the first writes behind a barrier of its own",
        """extern "C" __global__ void k(int* y) {
    __shared__ int flag[2];
    if (threadIdx.x < 2) flag[threadIdx.x] = 1;
    __syncthreads();
    int seen = flag[threadIdx.x & 1];
    if (threadIdx.x < 32) {
        __syncwarp();
        flag[threadIdx.x & 1] = 2;
    }
    y[threadIdx.x] = seen;
}""",
        block=128,
        arguments={"y": "i32[128]:empty"},
        expected=(("race", "error", 8), ("race", "warning", 8)),
    ),
    Judged(
        "a row of a __device__ matrix too far",
        """__device__ float table[4][8];
extern "C" __global__ void k(float* y) {
    table[threadIdx.x >> 3][threadIdx.x & 7] = 1.0f;
    y[threadIdx.x] = 2.0f;
}""",
        arguments={"y": "f32[64]:empty"},
        expected=(("out-of-bounds", "error", 3),),
        says="__device__ table has 32 elements",
    ),
    Judged(
        "a __device__ counter that every thread adds to plainly",
        """__device__ int count;
extern "C" __global__ void k(int* y) {
    count++;
    y[threadIdx.x] = 1;
}""",
        arguments={"y": "i32[64]:empty"},
        expected=(("race", "error", 3),),
    ),
    Judged(
        "a __device__ counter with atomics",
        """__device__ int count;
extern "C" __global__ void k(int* y) {
    int at = atomicAdd(&count, 1);
    y[at] = threadIdx.x;
}""",
        grid=2,
        arguments={"y": "i32[128]:empty"},
    ),
    Judged(
        "constant memory read past its end",
        """__constant__ float weight[9];
extern "C" __global__ void k(const float* x, float* y, int n) {
    float sum = 0.0f;
    for (int i = 0; i <= n; i++) sum += weight[i] * x[threadIdx.x];
    y[threadIdx.x] = sum;
}""",
        arguments={"x": "f32[64]", "y": "f32[64]:empty", "n": "9"},
        expected=(("out-of-bounds", "error", 4),),
        says="__constant__ weight has 9 elements",
    ),
    Judged(
        "a local array of a device function, one too far",
        """__device__ __noinline__ int pick(const int* x, int i) {
    int seen[4];
    for (int j = 0; j <= 4; j++) seen[j] = x[j];
    return seen[i & 3];
}
extern "C" __global__ void k(const int* x, int* y) { y[threadIdx.x] = pick(x, threadIdx.x); }""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
        expected=(("out-of-bounds", "error", 3),),
        says="local seen has 4 elements",
    ),
    Judged(
        "a local array all of which is written",
        """extern "C" __global__ void k(const int* x, int* y) {
    int seen[8];
    for (int j = 0; j < 8; j++) seen[(j * 3) & 7] = x[j];
    y[threadIdx.x] = seen[x[threadIdx.x] & 7];
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
    ),
    Judged(
        "shared memory read where nobody wrote it",
        """extern "C" __global__ void k(float* y) {
    __shared__ float tile[64];
    if (threadIdx.x < 63) tile[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}""",
        arguments={"y": "f32[64]:empty"},
        expected=(("uninitialised", "error", 5),),
        says="no thread of the block has written it",
    ),
    Judged(
        "one shared array into its neighbour",
        """extern "C" __global__ void k(float* y) {
    __shared__ float a[64];
    __shared__ float b[64];
    b[threadIdx.x] = 0.0f;
    a[threadIdx.x + 1] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = b[threadIdx.x];
}""",
        arguments={"y": "f32[64]:empty"},
        expected=(("out-of-bounds", "error", 5),),
        says="__shared__ a has 64 elements",
    ),
    Judged(
        "memcpy from a null pointer",
        """extern "C" __global__ void k(float* y) {
    memcpy(y + 4 * threadIdx.x, nullptr, 16);
}""",
        block=16,
        arguments={"y": "f32[64]:empty"},
        expected=(("out-of-bounds", "error", 2),),
        complete=False,
        says="null pointer",
    ),
    Judged(
        "memcpy of more than there is",
        """extern "C" __global__ void k(const float* x, float* y) {
    memcpy(y + 4 * threadIdx.x, x + 4 * threadIdx.x, 20);
}""",
        block=16,
        arguments={"x": "f32[64]", "y": "f32[64]:empty"},
        expected=(("out-of-bounds", "error", 2), ("out-of-bounds", "error", 2), ("race", "error", 2)),
    ),
    Judged(
        "a float4 where only floats are aligned",
        """extern "C" __global__ void k(const float* x, float* y) {
    float4 v = *(const float4*)(x + 1 + 4 * threadIdx.x);
    y[threadIdx.x] = v.y;
}""",
        block=15,
        arguments={"x": "f32[64]", "y": "f32[15]:empty"},
        expected=(("misaligned", "error", 2),),
        says="multiple of 16",
    ),
    Judged(
        "neighbouring shorts and bits of one byte",
        """extern "C" __global__ void k(const float* x, short* s, unsigned char* bits) {
    int i = threadIdx.x;
    s[i] = (short)i;
    unsigned char mine = 0;
    for (int b = 0; b < 8; b++) mine |= (x[8 * i + b] > 0) << b;
    bits[i] = mine;
}""",
        arguments={"x": "f32[512]", "s": "i16[64]:empty", "bits": "u8[64]:empty"},
    ),
    Judged(
        "two threads share a byte of bits",
        """extern "C" __global__ void k(const float* x, unsigned char* bits) {
    int i = threadIdx.x;
    bits[i / 2] |= (x[i] > 0) << (i & 1);
}""",
        arguments={"x": "f32[64]", "bits": "u8[32]:zeros"},
        expected=(("race", "error", 3),),
    ),
]

ORDER = [
    Judged(
        "a tree of sums without its inner barrier",
        """extern "C" __global__ void k(const float* x, float* y) {
    __shared__ float part[64];
    part[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    for (int s = 32; s > 0; s >>= 1)
        if (threadIdx.x < s) part[threadIdx.x] += part[threadIdx.x + s];
    if (threadIdx.x == 0) *y = part[0];
}""",
        arguments={"x": "f32[64]", "y": "f32[1]:empty"},
        expected=(("race", "error", 6),),
    ),
    Judged(
        "a broadcast used again without waiting",
        """extern "C" __global__ void k(const float* x, float* y) {
    __shared__ float total;
    if (threadIdx.x == 0) total = x[0];
    __syncthreads();
    float first = total;
    if (threadIdx.x == 0) total = x[1];
    __syncthreads();
    y[threadIdx.x] = first + total;
}""",
        arguments={"x": "f32[64]", "y": "f32[64]:empty"},
        expected=(("race", "error", 6),),
    ),
    Judged(
        "a warp's own sums need no barrier, by shuffles",
        """extern "C" __global__ void k(const float* x, float* y) {
    float v = x[threadIdx.x];
    for (int d = 16; d > 0; d >>= 1) v += __shfl_down_sync(0xffffffffu, v, d);
    if ((threadIdx.x & 31) == 0) y[threadIdx.x >> 5] = v;
}""",
        arguments={"x": "f32[64]", "y": "f32[2]:empty"},
    ),
    Judged(
        "a warp's sums through shared memory without __syncwarp",
        """extern "C" __global__ void k(const float* x, float* y) {
    __shared__ volatile float part[64];
    part[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x < 16) part[threadIdx.x] = part[threadIdx.x] + part[threadIdx.x + 16];
    y[threadIdx.x] = part[threadIdx.x];
}""",
        block=32,
        arguments={"x": "f32[32]", "y": "f32[32]:empty"},
        expected=(("race", "error", 4),),
        says="__syncwarp()",
    ),
    Judged(
        "blocks hand on by a plain flag",
        """extern "C" __global__ void k(volatile int* flag, int* y) {
    if (threadIdx.x == 0) {
        if (blockIdx.x == 0) { y[0] = 7; flag[0] = 1; }
        else if (flag[0]) y[1] = y[0];
    }
}""",
        grid=2,
        arguments={"flag": "zeros", "y": "i32[2]:empty"},
        expected=(("race", "error", None), ("race", "error", None)),
    ),
    Judged(
        "a barrier in either branch",
        """extern "C" __global__ void k(float* y) {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1.0f;
}""",
        arguments={"y": "f32[64]:empty"},
        expected=(("barrier", "error", None),),
        complete=False,
    ),
    Judged(
        "a return before the barrier",
        """extern "C" __global__ void k(float* y, int n) {
    int i = threadIdx.x;
    if (i >= n) return;
    y[i] = 1.0f;
    __syncthreads();
    y[i] += 1.0f;
}""",
        arguments={"y": "f32[50]:empty", "n": "50"},
        expected=(("barrier", "error", 5),),
        complete=False,
        says="parted by the branch at line 3",
    ),
    Judged(
        "a collective that some lanes of its mask never reach",
        """extern "C" __global__ void k(int* y) {
    int v = threadIdx.x;
    if (threadIdx.x < 16)
        v = __shfl_sync(0xffffffffu, v, 0);
    y[threadIdx.x] = v;
}""",
        block=32,
        arguments={"y": "i32[32]:empty"},
        expected=(("barrier", "error", 4),),
        complete=False,
    ),
    Judged(
        "a ticket in memory of its own, reset by the last block",
        """__device__ unsigned ticket = 0;
__device__ float parts[8];
extern "C" __global__ void k(const float* x, float* out) {
    __shared__ bool last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = x[blockIdx.x];
        __threadfence();
        last = atomicInc(&ticket, gridDim.x) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        float sum = 0.0f;
        for (int b = 0; b < gridDim.x; b++) sum += parts[b];
        *out = sum;
        ticket = 0;
    }
}""",
        grid=8,
        arguments={"x": "f32[8]", "out": "f32[1]:empty"},
    ),
    Judged(
        "the largest float by a compare-and-swap loop",
        """extern "C" __global__ void k(const float* x, int* most) {
    int old = most[0], assumed;
    do {
        assumed = old;
        old = atomicCAS(most, assumed, __float_as_int(fmaxf(x[threadIdx.x], __int_as_float(assumed))));
    } while (assumed != old);
}""",
        arguments={"x": "f32[64]", "most": "i32[1]:zeros"},
        expected=(("race", "warning", None),),
    ),
    Judged(
        "a lock in __device__ memory, with fences",
        """__device__ int mutex = 0;
extern "C" __global__ void k(float* sum) {
    if (threadIdx.x == 0) {
        while (atomicCAS(&mutex, 0, 1) != 0) {}
        __threadfence();
        *sum += 1.0f;
        __threadfence();
        atomicExch(&mutex, 0);
    }
}""",
        grid=4,
        arguments={"sum": "f32[1]:zeros"},
    ),
]
