// Sums that a block makes together, always in the same order: the same bits every run.
#pragma once

#include "long_sum.cuh"

#ifndef CHANNELS
#define CHANNELS 32            // channels a block works on: one a lane, so a warp reads 32 neighbouring floats of a row
#endif
#ifndef ROW_THREADS
#define ROW_THREADS 8          // rows read side by side
#endif

static_assert((ROW_THREADS & (ROW_THREADS - 1)) == 0, "a tree halves its rows");

// For blocks of CHANNELS x ROW_THREADS threads: adds `value` over threadIdx.y; each thread gets the sum of its channel.
// Every thread of the block must come here.
__device__ __forceinline__ float sum_over_rows(float value) {
    __shared__ float part[ROW_THREADS][CHANNELS];
    __syncthreads();                                         // an earlier call may still be reading part[0]
    part[threadIdx.y][threadIdx.x] = value;
    __syncthreads();                                         // all parts are written
    for (int half = ROW_THREADS / 2; half > 0; half /= 2) {  // a tree: log2(ROW_THREADS) levels
        if (threadIdx.y < half) part[threadIdx.y][threadIdx.x] += part[threadIdx.y + half][threadIdx.x];
        __syncthreads();                                     // this level is done before the next reads it
    }
    return part[0][threadIdx.x];
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
