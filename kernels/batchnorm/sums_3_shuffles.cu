// Batch normalisation's sums by channel, rung 3: the tree inside a warp, from register to register.
//
//   statistics  mean[c] = average of x[., c]   var[c] = average of (x[., c] - mean[c])^2   rows = N*H*W values each
//               running = (1 - momentum) * running + momentum * new, with var * rows / (rows - 1), the unbiased
//               estimate
//   backward    sum_dy[c] = sum of dy   sum_dy_xhat[c] = sum of dy * xhat, xhat = (x - mean) / sqrt(var + eps):
//               dbeta += sum_dy, dgamma += sum_dy_xhat
//   shapes      x, dy [rows, C]; all others [C]
//   mapping     a block per 32 channels, 32 x 32 threads: each warp reads 32 neighbouring channels of a row. For the
//               sum the block turns its numbers by 90 degrees, and each warp adds those of one channel
//   cost        batchnorm_statistics 4*rows*C bytes, 17*rows*C FLOP; batchnorm_backward_sums 8*rows*C bytes, 13*rows*C
//               FLOP. Memory bound; the statistics ask for x twice
//   aliasing    none
//   lesson      the lanes of a warp read each other's registers: five shuffles instead of five levels of shared memory,
//               and three barriers whatever the block's size. Shared memory is only the turntable: its rows are 33
//               apart, so that a column lies in 32 different banks

#include "index.cuh"
#include "long_sum.cuh"

#define CHANNELS 32            // lanes
#define ROW_THREADS 32         // warps

// For blocks of 32 x 32 threads: adds `value` over threadIdx.y; each thread gets the sum of its channel. Every thread
// of the block must come here.
__device__ __forceinline__ float sum_over_rows(float value) {
    __shared__ float part[32][33], total[32];
    __syncthreads();                                         // an earlier call may still be reading
    part[threadIdx.y][threadIdx.x] = value;
    __syncthreads();                                         // all parts are written
    value = part[threadIdx.x][threadIdx.y];                  // this warp's channel, a row a lane
    for (int half = 16; half > 0; half /= 2) value += __shfl_down_sync(0xffffffffu, value, half);
    if (threadIdx.x == 0) total[threadIdx.y] = value;
    __syncthreads();                                         // all totals are written
    return total[threadIdx.x];
}

extern "C" __global__
void batchnorm_statistics(const float* x, float* mean, float* var, float* running_mean, float* running_var,
                          long long* num_batches_tracked, int rows, int C, float momentum) {
    int c = blockIdx.x * CHANNELS + threadIdx.x;

    LongSum values, d1s, d2s;
    if (c < C) for (int r = threadIdx.y; r < rows; r += ROW_THREADS) values.add(x[r * C + c]);
    float center = sum_over_rows(values.sum) / rows;                 // the mean, before its correction
    if (c < C)
        for (int r = threadIdx.y; r < rows; r += ROW_THREADS) {
            float d = x[r * C + c] - center;
            d1s.add(d);
            d2s.add(d * d);
        }
    float d1 = sum_over_rows(d1s.sum) / rows, d2 = sum_over_rows(d2s.sum) / rows;
    if (c < C && threadIdx.y == 0) {
        float m = center + d1, v = d2 - d1 * d1;
        v = v < 0.0f ? 0.0f : v;                                     // not fmaxf, which would hide a NaN
        mean[c] = m;
        var[c] = v;
        running_mean[c] += momentum * (m - running_mean[c]);
        // rows > 1: the host sees to it
        running_var[c] += momentum * (v * ((float)rows / (float)(rows - 1)) - running_var[c]);
        if (c == 0) num_batches_tracked[0] += 1;
    }
}

extern "C" __global__
void batchnorm_backward_sums(const float* x, const float* dy, const float* mean, const float* var,
                             float* sum_dy, float* sum_dy_xhat, int rows, int C, float eps) {
    int c = blockIdx.x * CHANNELS + threadIdx.x;

    LongSum dys, dy_xhats;
    if (c < C) {
        float m = mean[c], rstd = 1.0f / sqrtf(var[c] + eps);
        for (int r = threadIdx.y; r < rows; r += ROW_THREADS) {
            float g = dy[r * C + c];
            dys.add(g);
            dy_xhats.add(g * ((x[r * C + c] - m) * rstd));
        }
    }
    float s0 = sum_over_rows(dys.sum), s1 = sum_over_rows(dy_xhats.sum);
    if (c < C && threadIdx.y == 0) {
        sum_dy[c] = s0;
        sum_dy_xhat[c] = s1;
    }
}
