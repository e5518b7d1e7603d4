// Sums that a block makes together, always in the same order: the same bits every run.
#pragma once

#ifndef CHANNELS
#define CHANNELS 32            // channels a block works on: one a lane, so a warp reads 32 neighbouring floats of a row
#endif
#ifndef ROW_THREADS
#define ROW_THREADS 8          // rows read side by side
#endif

// A long sum whose rounding error does not grow with its length (Kahan 1965): what rounding took from one addition goes
// into the next.
struct LongSum {
    float sum = 0.0f, over = 0.0f;                           // over: by how much the sum is too large
    __device__ __forceinline__ void add(float value) {
        float less = value - over, next = sum + less;
        over = next - next == 0.0f ? (next - sum) - less : 0.0f;     // an infinite sum stays infinite
        sum = next;
    }
};

// For blocks of CHANNELS x ROW_THREADS threads: adds `value` over threadIdx.y. The row threadIdx.y == 0 gets the sum of
// its channel, the others get undefined values. Every thread of the block must come here.
__device__ __forceinline__ float sum_over_rows(float value) {
    __shared__ float part[ROW_THREADS][CHANNELS];
    __syncthreads();                                         // an earlier call may still be reading part
    part[threadIdx.y][threadIdx.x] = value;
    __syncthreads();                                         // all parts are written
    if (threadIdx.y == 0) {
        value = 0.0f;
        for (int r = 0; r < ROW_THREADS; r++) value += part[r][threadIdx.x];
    }
    return value;
}

// For 1-D blocks of WIDTH threads, a power of two: the sum of `value` over the block, in every thread.
template <int WIDTH> __device__ __forceinline__ float sum_over_block(float value) {
    __shared__ float part[WIDTH];
    __syncthreads();                                         // an earlier call may still be reading part[0]
    part[threadIdx.x] = value;
    __syncthreads();                                         // all values are written
    for (int half = WIDTH / 2; half > 0; half /= 2) {      // a tree: log2(WIDTH) levels
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();                                     // this level is done before the next reads it
    }
    return part[0];
}
