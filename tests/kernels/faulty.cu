// Kernels that are wrong on a GPU, each in one way, for the stand-in to find. Used by test_stand_in_faults.py.

extern "C" __global__
void store_behind(float* x, int n) {                // no guard: a whole block writes
    x[threadIdx.x] = 1.0f;
}

extern "C" __global__
void store_before(float* x, int n) { x[(int)threadIdx.x - 1] = n; }

extern "C" __global__
void load_behind(const float* x, float* y, int n) { y[threadIdx.x % n] = x[threadIdx.x]; }

extern "C" __global__
void misaligned(const float* x, float* y, int first) {
    *(float4*)(y + 4 * threadIdx.x) = *(const float4*)(x + first + 4 * threadIdx.x);
}

extern "C" __global__
void store_through_null(float* x, float* nothing) { nothing[threadIdx.x] = x[threadIdx.x]; }

extern "C" __global__
void shared_behind(float* x, int n) {               // the neighbour in shared memory is not hit either
    __shared__ float first[32], second[32];
    second[threadIdx.x] = x[threadIdx.x];
    first[threadIdx.x + n] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = first[31 - threadIdx.x] + second[threadIdx.x];
}

extern "C" __global__
void dynamic_behind(float* x) {
    extern __shared__ float tile[];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__
void unwritten_shared(float* x) {
    __shared__ float part[64];
    part[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] += part[threadIdx.x + 32];
}

extern "C" __global__
void missing_barrier(float* x) {                    // warps read what other warps write
    __shared__ float part[128];
    part[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = part[127 - threadIdx.x];
}

extern "C" __global__
void missing_warp_barrier(float* x) {               // lanes read what other lanes write
    __shared__ float part[32];
    part[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = *(volatile float*)(part + (threadIdx.x + 1) % 32);
}

extern "C" __global__
void race_of_blocks(float* x) {                     // whichever block comes last
    if (threadIdx.x == 0) x[0] = blockIdx.x;
}

extern "C" __global__
void sum_in_any_order(float* sum, const float* x) { atomicAdd(sum, x[blockIdx.x * blockDim.x + threadIdx.x]); }

extern "C" __global__
void no_end(float* x) {
    while (*(volatile float*)x == 0.0f) {}
}

extern "C" __global__
void stops(float* x) {
    if (threadIdx.x == 7) __trap();
    x[threadIdx.x] = 1.0f;
}

__device__ __forceinline__ void copy_later(float* shared, const float* from) {
    unsigned to = (unsigned)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" :: "r"(to), "l"(from) : "memory");
}

// y = x, 4 floats a thread, by way of shared memory in two groups. WAIT: how many groups may be on their way.
#ifndef WAIT
#define WAIT 0
#endif
extern "C" __global__
void copy_in_two_groups(const float* x, float* y) {
    __shared__ __align__(16) float first[128], second[128];
    int i = threadIdx.x * 4;
    copy_later(first + i, x + i);
    asm volatile("cp.async.commit_group;" ::: "memory");
    copy_later(second + i, x + 128 + i);
    asm volatile("cp.async.commit_group;" ::: "memory");
#if WAIT >= 0
    asm volatile("cp.async.wait_group %0;" :: "n"(WAIT) : "memory");
#endif
    for (int k = 0; k < 4; k++) y[i + k] = first[i + k], y[128 + i + k] = second[i + k];
}
