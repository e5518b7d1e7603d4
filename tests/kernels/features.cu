// One small kernel for each word of CUDA that the CPU device must know. Used by test_device.py.
__device__ __constant__ float weights[3] = {1.0f, 2.0f, 3.0f};

struct Pair { int first; float second; };

template <class T> __device__ __forceinline__ T square(T v) { return v * v; }

extern "C" __global__
void thread_numbers(int* out) {                     // 3-D grid, 3-D block: every thread writes where it stands
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    out[block * (blockDim.x * blockDim.y * blockDim.z) + thread] = 1000 * block + thread;
}

template <int FACTOR> __global__ void scale(const float* __restrict__ x, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = FACTOR * __ldg(x + i) * weights[0] * square(1.0f);
}

extern "C" __global__ __launch_bounds__(256)
void block_sum(const float* x, float* sums) {       // static shared memory, a tree of barriers
    __shared__ float part[256];
    part[threadIdx.x] = x[blockIdx.x * 256 + threadIdx.x];
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}

extern "C" __global__
void reverse_dynamic(const int* x, int* y) {        // dynamic shared memory, its size given at launch
    extern __shared__ int tile[];
    int n = blockDim.x;
    tile[threadIdx.x] = x[blockIdx.x * n + threadIdx.x];
    __syncthreads();
    y[blockIdx.x * n + threadIdx.x] = tile[n - 1 - threadIdx.x];
}

extern "C" __global__
void shuffles(const float* x, float* out) {         // 32 lanes: rows index, up, down, xor, down within 8, sum of all
    int lane = threadIdx.x % 32, base = (threadIdx.x / 32) * 32 * 6;
    float v = x[threadIdx.x];
    out[base + 0 * 32 + lane] = __shfl_sync(0xffffffffu, v, (lane + 5) % 32);
    out[base + 1 * 32 + lane] = __shfl_up_sync(0xffffffffu, v, 3);
    out[base + 2 * 32 + lane] = __shfl_down_sync(0xffffffffu, v, 3);
    out[base + 3 * 32 + lane] = __shfl_xor_sync(0xffffffffu, v, 7);
    out[base + 4 * 32 + lane] = __shfl_down_sync(0xffffffffu, v, 2, 8);
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    out[base + 5 * 32 + lane] = v;
}

extern "C" __global__
void half_warps(const int* x, int* out) {           // two groups of one warp meet on their own, at different lines
    int lane = threadIdx.x;
    if (lane < 16) out[lane] = __shfl_xor_sync(0x0000ffffu, x[lane], 1);
    else out[lane] = __shfl_xor_sync(0xffff0000u, x[lane], 2);
    __syncwarp();
    unsigned odd = __ballot_sync(0xffffffffu, x[lane] & 1);
    if (lane == 0) out[32] = (int)odd;
    out[33 + lane] = __any_sync(0xffffffffu, x[lane] > 1000) * 2 + __all_sync(0xffffffffu, x[lane] >= 0);
}

extern "C" __global__
void barrier_votes(const int* x, int* out) {
    int here = x[threadIdx.x];
    int count = __syncthreads_count(here > 0), any = __syncthreads_or(here > 0), all = __syncthreads_and(here > 0);
    out[threadIdx.x] = count * 100 + any * 10 + all;
}

extern "C" __global__
void count_atomics(int* ints, unsigned* bits, float* floats) {
    atomicAdd(&ints[0], 1);
    atomicMax(&ints[1], (int)(blockIdx.x * blockDim.x + threadIdx.x));
    atomicMin(&ints[2], -(int)(blockIdx.x * blockDim.x + threadIdx.x));
    atomicSub(&ints[3], 2);
    atomicOr(&bits[0], 1u << (threadIdx.x % 32));
    atomicAdd(&floats[0], 1);                       // the int turns into a float, as with CUDA's overloads
    if (atomicCAS(&ints[4], 0, 7) == 0) atomicExch(&ints[5], 9);
}

extern "C" __global__
void vectors(const float4* x, float4* y, const uint4* u, float2* sums) {
    int i = threadIdx.x;
    float4 v = x[i];
    y[i] = make_float4(v.w, v.z, v.y, v.x);
    uint4 w = u[i];
    sums[i] = make_float2((float)(w.x + w.y), fmaf(2.0f, (float)w.z, (float)w.w));
}

extern "C" __global__
void mathematics(const float* x, float* y) {
    float v = x[threadIdx.x];
    float* out = y + threadIdx.x * 12;
    out[0] = sqrtf(v); out[1] = rsqrtf(v); out[2] = expf(v); out[3] = logf(v); out[4] = log1pf(v); out[5] = tanhf(v);
    out[6] = sinf(v); out[7] = cosf(v); out[8] = powf(v, 1.5f); out[9] = fmaxf(v, 1.0f); out[10] = fminf(v, 1.0f); out[11] = fabsf(-v);
}

extern "C" __global__
void leaves_early(float* x) {                       // thread 3 returns; the others wait for it at line 104
    if (threadIdx.x == 3) return;
    x[threadIdx.x] = 1.0f;
    __syncthreads();
    x[threadIdx.x] = 2.0f;
}

extern "C" __global__
void two_barriers(float* x) {                       // halves of the block wait at different lines
    if (threadIdx.x < 4) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    x[threadIdx.x] = 1.0f;
}

extern "C" __global__
void lane_leaves(float* x) {                        // lane 5 returns before a shuffle whose mask names it
    if (threadIdx.x == 5) return;
    x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}

#define MEET __syncthreads()
__device__ void meet_inside() { MEET; }

extern "C" __global__
void hidden_barrier(int* x) {                       // the barrier is behind a macro in a function
    __shared__ int first;
    if (threadIdx.x == 31) first = 5;
    meet_inside();
    x[threadIdx.x] = first;
}

extern "C" __global__ void __launch_bounds__((4 + 4) * (8 * 16), 1)
block_sum_shuffles(const float* x, float* sums, int n) {   // any block size: warps sum by shuffles, one warp sums their sums
    __shared__ float part[32];
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z), threads = blockDim.x * blockDim.y * blockDim.z;
    int lane = thread % 32, warp = thread / 32, warps = (threads + 31) / 32;
    int here = min(threads - warp * 32, 32);        // lanes of this warp: the last one may be ragged
    unsigned mask = here == 32 ? 0xffffffffu : (1u << here) - 1u;
    int i = blockIdx.x * threads + thread;
    float v = i < n ? x[i] : 0.0f;
    for (int d = 16; d > 0; d /= 2) {
        float other = __shfl_down_sync(mask, v, d);
        if (lane + d < here) v += other;
    }
    if (lane == 0) part[warp] = v;
    __syncthreads();
    if (warp == 0) {
        v = 0.0f;
        for (int w = lane; w < warps; w += here) v += part[w];
        for (int d = 16; d > 0; d /= 2) {
            float other = __shfl_down_sync(mask, v, d);
            if (lane + d < here) v += other;
        }
        if (lane == 0) sums[blockIdx.x] = v;
    }
    __syncthreads();                                // so that a ragged warp 0 and the others part only here
}

extern "C" __global__
void rotate_in_registers(const int* x, int* out) {  // 16 values a thread, kept in a local array over 16 barriers
    __shared__ int tile[1024];
    int threads = blockDim.x, base = blockIdx.x * threads * 16, kept[16];
    for (int k = 0; k < 16; k++) kept[k] = x[base + k * threads + threadIdx.x];
    for (int k = 0; k < 16; k++) {
        tile[threadIdx.x] = kept[k];
        __syncthreads();
        kept[k] = tile[(threadIdx.x + k) % threads];
        __syncthreads();
    }
    for (int k = 0; k < 16; k++) out[base + k * threads + threadIdx.x] = kept[k];
}

extern "C" __global__
void whole_blocks_leave(int* x) {                   // every thread of an odd block returns before the barrier: allowed
    if (blockIdx.x % 2 == 1) return;
    __shared__ int last;
    if (threadIdx.x == blockDim.x - 1) last = blockIdx.x;
    __syncthreads();
    x[blockIdx.x * blockDim.x + threadIdx.x] = last;
}

extern "C" __global__
void halve(const float* x, float* y) { int i = blockIdx.x * blockDim.x + threadIdx.x; y[i] = x[i] * 0.5f; }

extern "C" __global__
void double_after_barrier(const float* x, float* y) { int i = blockIdx.x * blockDim.x + threadIdx.x; __syncthreads(); y[i] = x[i] * 2.0f; }

extern "C" __global__
void scalars(double* out, bool b, signed char c, unsigned char uc, short s, unsigned short us, int i, unsigned u,
             long long l, unsigned long long ul, float f, double d, const float* __restrict__ nothing, size_t size) {
    out[0] = b; out[1] = c; out[2] = uc; out[3] = s; out[4] = us; out[5] = i; out[6] = u;
    out[7] = (double)l; out[8] = (double)ul; out[9] = f; out[10] = d;
    out[11] = nothing == nullptr; out[12] = (double)size;
}

#ifndef TIMES
#define TIMES 2
#endif
extern "C" __global__
void scale_by_macro(float* x) { x[threadIdx.x] *= TIMES; }

extern "C" __global__
void integer_words(const int* x, int* out) {        // bits counted and turned; the smaller and the larger of mixed types
    int v = x[threadIdx.x];
    int* o = out + threadIdx.x * 10;
    o[0] = __popc((unsigned)v); o[1] = __clz(v); o[2] = __ffs(v); o[3] = (int)__brev((unsigned)v);
    o[4] = (int)__umulhi((unsigned)v, 0x9e3779b9u); o[5] = __mulhi(v, 0x1e3779b9);
    o[6] = min(v, (int)blockDim.x); o[7] = (int)max(threadIdx.x, 3); o[8] = (int)min(v, blockDim.x); o[9] = max(v, -5);
}

extern "C" __global__
void full_mask(const int* x, int* out) {            // masks name 32 lanes, the last warp has fewer
    int v = x[threadIdx.x];
    __syncwarp();
    out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, v, 1);
    out[blockDim.x + threadIdx.x] = __popc(__ballot_sync(0xffffffffu, v >= 100));
}
