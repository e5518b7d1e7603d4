// The tile's multiply where both operands lie with the sum's index along their rows: gradients of weights.
#pragma once

#include "gemm_tile.cuh"

// acc += a_s b_s with a_s as [BK][BM], a thread's rows TM side by side.
__device__ __forceinline__ void multiply_columns(const float* a_s, const float* b_s, float (&acc)[TM][TN], int ty,
    int tx) {
#pragma unroll 1
    for (int k = 0; k < BK; k++) {
        __align__(16) float a[TM], b[TN];
        copy<TM>(a, a_s + k * BM + ty * TM);
        read_columns(b, b_s, k, tx);
#pragma unroll
        for (int i = 0; i < TM; i++)
#pragma unroll
            for (int j = 0; j < TN; j++) acc[i][j] += a[i] * b[j];
    }
}
