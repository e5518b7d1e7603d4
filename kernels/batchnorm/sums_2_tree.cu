// Batch normalisation's sums by channel, rung 2: a block shares the rows, and adds its threads' sums as a tree.
//
//   statistics  mean[c] = average of x[., c]   var[c] = average of (x[., c] - mean[c])^2   rows = N*H*W values each
//               running = (1 - momentum) * running + momentum * new, with var * rows / (rows - 1), the unbiased
//               estimate
//   backward    sum_dy[c] = sum of dy   sum_dy_xhat[c] = sum of dy * xhat, xhat = (x - mean) / sqrt(var + eps):
//               dbeta += sum_dy, dgamma += sum_dy_xhat
//   shapes      x, dy [rows, C]; all others [C]
//   mapping     a block per CHANNELS channels, CHANNELS x ROW_THREADS threads: each warp reads neighbouring channels of
//               a row, and the threads of a channel take every ROW_THREADS-th row
//   cost        batchnorm_statistics 4*rows*C bytes, 17*rows*C FLOP; batchnorm_backward_sums 8*rows*C bytes, 13*rows*C
//               FLOP. Memory bound; the statistics ask for x twice
//   aliasing    none
//   lesson      ROW_THREADS times as many threads; what they found is added in log2(ROW_THREADS) levels with a barrier
//               after each, always in the same order: the same bits every run

#include "index.cuh"
#include "reduce.cuh"

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
