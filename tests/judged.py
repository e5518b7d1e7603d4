"""Small kernels of the kinds that strangers' code showed to be judged wrong: text, launch, and what must be found."""

from dataclasses import dataclass, field


@dataclass
class Judged:
    """A kernel named k, and the findings expected: (kind, severity, line) in any order. No list: none."""

    name: str
    text: str
    grid: int = 1
    block: int = 64
    arguments: dict = field(default_factory=dict)
    expected: tuple = ()
    complete: bool = True
    says: str = ""  # a text that one of the messages holds


JUDGED = [
    Judged(
        "a struct aligned less than its size",
        """struct Pair { float x, y; };
struct Item { int tag; Pair at; };
extern "C" __global__ void k(const Item* in, Pair* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = in[i].at;
}""",
        arguments={"in": "f32[192]", "out": "f32[128]", "n": "64"},
    ),
    Judged(
        "a broadcast rewritten behind __syncwarp",
        """extern "C" __global__ void k(int* y) {
    __shared__ int flag;
    if (threadIdx.x == 0) flag = 3;
    __syncthreads();
    int seen = flag;
    __syncwarp();
    if (threadIdx.x == 0) flag = 4;
    y[threadIdx.x] = seen;
}""",
        block=128,
        arguments={"y": "i32[128]:empty"},
        expected=(("race", "error", 7),),
        says="no __syncthreads()",
    ),
    Judged(
        "half a warp meets, the other half has read",
        """extern "C" __global__ void k(int* y) {
    __shared__ int flag;
    if (threadIdx.x == 0) flag = 3;
    __syncthreads();
    int seen = flag;
    if (threadIdx.x < 16) __syncwarp(0xffffu);
    if (threadIdx.x == 0) flag = 4;
    y[threadIdx.x] = seen;
}""",
        block=32,
        arguments={"y": "i32[32]:empty"},
        expected=(("race", "error", None),),
    ),
    Judged(
        "a first value and an atomic with no barrier between",
        """extern "C" __global__ void k(const int* x, int* y) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    atomicAdd(&sum, x[threadIdx.x]);
    __syncthreads();
    y[threadIdx.x] = sum;
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
        expected=(("race", "error", 4),),
    ),
    Judged(
        "a plain read, then an atomic by the same thread",
        """extern "C" __global__ void k(int* y, int* total) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    int before = 0;
    if (threadIdx.x == 0) { before = sum; atomicAdd(&sum, 1); }
    if (threadIdx.x == 40) atomicAdd(&sum, 1);
    y[threadIdx.x] = before;
    __syncthreads();
    total[0] = sum;
}""",
        arguments={"y": "i32[64]:empty", "total": "i32[1]:empty"},
        expected=(("race", "error", 7), ("race", "warning", 10)),
    ),
    Judged(
        "a count read where atomics may still come",
        """extern "C" __global__ void k(int* y) {
    __shared__ int count;
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    atomicAdd(&count, 1);
    y[threadIdx.x] = count;
}""",
        arguments={"y": "i32[64]:empty"},
        expected=(("race", "error", None),),
    ),
    Judged(
        "past a __device__ array",
        """__device__ int bins[40];
extern "C" __global__ void k(int* y) {
    bins[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = 1;
}""",
        arguments={"y": "i32[64]:empty"},
        expected=(("out-of-bounds", "error", 3),),
        says="__device__ bins has 40 elements",
    ),
    Judged(
        "blocks race in a __device__ variable",
        """__device__ float last = 2.0f;
extern "C" __global__ void k(float* y) {
    if (threadIdx.x == 0) last = last + blockIdx.x;
    y[0] = 1.0f;
}""",
        grid=2,
        arguments={"y": "f32[1]"},
        expected=(("race", "error", 3), ("race", "warning", 4)),
    ),
    Judged(
        "constant memory written",
        """__constant__ float scale[64];
extern "C" __global__ void k(float* y) {
    y[threadIdx.x] = scale[threadIdx.x];
    scale[threadIdx.x] = 1.0f;
}""",
        arguments={"y": "f32[64]:empty"},
        expected=(("read-only", "error", 4),),
    ),
    Judged(
        "a misaligned read of a __device__ array",
        """__device__ __align__(16) float table[68];
extern "C" __global__ void k(float* y) {
    float4 v = *reinterpret_cast<float4*>(table + threadIdx.x);
    y[threadIdx.x] = v.x + v.w;
}""",
        arguments={"y": "f32[64]:empty"},
        expected=(("misaligned", "error", 3),),
    ),
    Judged(
        "a local histogram overrun",
        """extern "C" __global__ void k(const int* x, int* y) {
    int bins[16];
    for (int i = 0; i < 16; i++) bins[i] = 0;
    for (int i = 0; i < 64; i++) bins[x[i]]++;
    y[threadIdx.x] = bins[threadIdx.x & 15];
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
        expected=(("out-of-bounds", "error", 4),),
        says="local bins has 16 elements",
    ),
    Judged(
        "a local array past its end by a constant",
        """extern "C" __global__ void k(int* y) {
    int three[3] = {1, 2, 3};
    int* p = three;
    p[3] = 4;
    y[threadIdx.x] = three[1];
}""",
        arguments={"y": "i32[64]:empty"},
        expected=(("out-of-bounds", "error", 4),),
    ),
    Judged(
        "a local array read before it is written",
        """extern "C" __global__ void k(const int* x, int* y) {
    int kept[8];
    for (int i = 0; i < 8; i += 2) kept[i] = x[i];
    y[threadIdx.x] = kept[x[threadIdx.x] & 7];
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
        expected=(("uninitialised", "error", 4),),
    ),
    Judged(
        "a barrier in other rounds",
        """extern "C" __global__ void k(float* y, int n) {
    for (int round = 0; round < n; round++)
        if ((threadIdx.x + round) % 2 == 0) __syncthreads();
    y[threadIdx.x] = 1.0f;
}""",
        arguments={"y": "f32[64]:empty", "n": "2"},
        expected=(("barrier", "error", 3),),
        says="parted by the branch at line 3",
    ),
    Judged(
        "a barrier that half the block never reaches",
        """extern "C" __global__ void k(float* y) {
    int i = threadIdx.x;
    if (i < 32)
        __syncthreads();
    y[i] = 1.0f;
}""",
        arguments={"y": "f32[64]:empty"},
        expected=(("barrier", "error", 4),),
        complete=False,
        says="parted by the branch at line 3",
    ),
    Judged(
        "memset through a null pointer",
        """extern "C" __global__ void k(float* x, float* y) {
    memset(x, 0, 16);
    y[0] = 1.0f;
}""",
        arguments={"x": "null", "y": "f32[1]"},
        expected=(("out-of-bounds", "error", 2),),
        complete=False,
        says="null pointer",
    ),
    Judged(
        "an atomic on a literal null pointer",
        """extern "C" __global__ void k(float* y) {
    atomicAdd((int*)nullptr, 1);
    y[0] = 1.0f;
}""",
        arguments={"y": "f32[1]"},
        expected=(("out-of-bounds", "error", 2),),
        complete=False,
        says="null pointer",
    ),
    Judged(
        "division by zero",
        """extern "C" __global__ void k(const int* x, int* y, int n) {
    y[threadIdx.x] = x[threadIdx.x] % n;
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty", "n": "0"},
        expected=(("division", "error", 2),),
    ),
    Judged(
        "the array that was indexed is named",
        """extern "C" __global__ void k(const int* head, const int* edge, int* y) {
    y[threadIdx.x] = edge[head[threadIdx.x] * 250000 + 3000000];
}""",
        arguments={"head": "i32[64]", "edge": "i32[64]", "y": "i32[64]:empty"},
        expected=(("out-of-bounds", "error", 2),),
        complete=False,
        says="edge[",
    ),
    Judged(
        "from one array into the next",
        """extern "C" __global__ void k(float* x, float* y, long long apart) {
    if (threadIdx.x == 0) x[apart] = 1.0f;
    y[threadIdx.x] = 2.0f;
}""",
        arguments={"x": "f32[64]", "y": "f32[64]:empty", "apart": "70"},
        expected=(("out-of-bounds", "error", 2),),
        says="x[70]",
    ),
    Judged(
        "160 kB of locals",
        """extern "C" __global__ void k(const float* x, float* y, int n) {
    float kept[40000];
    for (int i = 0; i < n; i++) kept[i] = x[i % 64];
    y[threadIdx.x] = kept[n - 1 - threadIdx.x];
}""",
        block=32,
        arguments={"x": "f32[64]", "y": "f32[32]:empty", "n": "500"},
    ),
    Judged(
        "an atomic on an element of constant index",
        """extern "C" __global__ void k(const int* x, int* y) {
    __shared__ int bins[64];
    bins[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&bins[5], x[threadIdx.x]);
    atomicMax(&bins[63], 7);
    __syncthreads();
    y[threadIdx.x] = bins[threadIdx.x];
}""",
        arguments={"x": "i32[64]", "y": "i32[64]:empty"},
    ),
    Judged(
        "a recursion too deep",
        """__device__ __noinline__ int down(int n, int* y) { volatile int kept[100]; kept[n % 100] = n;
    return n ? down(n - 1, y) + kept[n % 100] : *y; }
extern "C" __global__ void k(int* y, int n) { y[threadIdx.x] = down(n, y + threadIdx.x); }""",
        arguments={"y": "i32[64]", "n": "100000"},
        expected=(("stopped", "error", None),),
        complete=False,
        says="512 KiB of local memory",
    ),
    Judged(
        "a jump to nowhere",
        """extern "C" __global__ void k(float* y) { y[0] = 1.0f; ((void (*)(int))0x20)(3); }""",
        block=1,
        arguments={"y": "f32[1]"},
        expected=(("stopped", "error", 1),),
        complete=False,
    ),
    Judged(
        "a loop without end and without an access",
        """extern "C" __global__ void k(float* y, int n) {
    y[0] = 1.0f;
    for (unsigned i = 0; n; i++) {}
}""",
        block=1,
        arguments={"y": "f32[1]", "n": "1"},
        expected=(("stopped", "error", None),),
        complete=False,
        says="within 2 s",
    ),
]
