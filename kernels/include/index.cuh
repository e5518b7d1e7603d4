// Index arithmetic that every kernel shares.
#pragma once

// This thread's number in a 1-D grid of 1-D blocks. The host keeps n, and so the grid, below 2^31 threads.
__device__ __forceinline__ int global_thread() {
    return blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ int ceil_div(int a, int b) {
    return (a + b - 1) / b;                          // a >= 0, b > 0, a + b < 2^31
}
