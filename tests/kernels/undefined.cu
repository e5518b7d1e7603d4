// Kernels that CUDA does not define, or whose locals need more than a fiber's stack on the CPU. Used by test_device.py.

extern "C" __global__
void leaves_itself_out(int* x) {                    // lane 2 calls with a mask that names lanes 0 and 1 only
    x[threadIdx.x] = __shfl_sync(threadIdx.x < 3 ? 0x3u : 0xfffffff8u, x[threadIdx.x], 0);
}

extern "C" __global__
void two_shuffles(int* x) {                         // halves of a warp wait for all of it at different lines
    int v = x[threadIdx.x];
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, v, 1);
    else x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, v, 2);
}

extern "C" __global__
void lane_at_barrier(int* x) {                      // lane 7 waits at the barrier, the others for lane 7
    if (threadIdx.x != 7) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
    __syncthreads();
}

extern "C" __global__
void one_thread_loops_longer(int* x) {              // thread 1 of block 3 comes to the barrier once more than the others
    int n = 4 + (blockIdx.x == 3 && threadIdx.x == 1);
    for (int i = 0; i < n; i++) __syncthreads();
    x[blockIdx.x * blockDim.x + threadIdx.x] = n;
}

extern "C" __global__
void large_array(int* x, int n) {                   // 128 KiB of local memory: more than a fiber's stack on the CPU
    int kept[32768];
    for (int i = 0; i < n; i++) kept[i] = x[i] + threadIdx.x;
    __syncthreads();
    for (int i = 0; i < n; i++) x[i] = kept[n - 1 - i];
}

__device__ __noinline__ int deeper(int* x, int n) { // 1 KiB a level, and no barrier on the way
    volatile int kept[256];
    for (int i = 0; i < 256; i++) kept[i] = x[0] + i;
    return n == 0 ? kept[1] : kept[deeper(x, n - 1) % 256] + 1;
}

extern "C" __global__
void deep_recursion(int* x, int n) {
    __syncthreads();
    x[threadIdx.x] = deeper(x + blockDim.x, n);
}
