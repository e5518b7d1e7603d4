// Batch normalisation's sums by channel (Ioffe & Szegedy 2015), rung 1: one thread a channel.
//
//   statistics  mean[c] = average of x[., c]   var[c] = average of (x[., c] - mean[c])^2   rows = N*H*W values each
//               running = (1 - momentum) * running + momentum * new, with var * rows / (rows - 1), the unbiased
//               estimate
//   backward    sum_dy[c] = sum of dy   sum_dy_xhat[c] = sum of dy * xhat, xhat = (x - mean) / sqrt(var + eps):
//               dbeta += sum_dy, dgamma += sum_dy_xhat
//   shapes      x, dy [rows, C]; all others [C]
//   mapping     1-D grid, one thread per channel: it walks down its column
//   cost        batchnorm_statistics 4*rows*C bytes, 17*rows*C FLOP; batchnorm_backward_sums 8*rows*C bytes, 13*rows*C
//               FLOP. Memory bound; the statistics ask for x twice
//   aliasing    none
//   lesson      variance by sum(x^2) - sum(x)^2 / n loses every digit when the mean is large. Subtract the mean first,
//               and correct for what rounding left in the mean: with d = x - mean, var = avg(d^2) - avg(d)^2, mean +=
//               avg(d). And: a layer of 64 channels keeps 64 threads busy, however many rows it has

#include "index.cuh"
#include "long_sum.cuh"

extern "C" __global__
void batchnorm_statistics(const float* x, float* mean, float* var, float* running_mean, float* running_var,
                          long long* num_batches_tracked, int rows, int C, float momentum) {
    int c = global_thread();
    if (c >= C) return;

    LongSum values, d1s, d2s;
    for (int r = 0; r < rows; r++) values.add(x[r * C + c]);
    float center = values.sum / rows;                                // the mean, before its correction
    for (int r = 0; r < rows; r++) {
        float d = x[r * C + c] - center;
        d1s.add(d);
        d2s.add(d * d);
    }
    float d1 = d1s.sum / rows, d2 = d2s.sum / rows;
    float m = center + d1, v = d2 - d1 * d1;
    v = v < 0.0f ? 0.0f : v;                                         // not fmaxf, which would hide a NaN
    mean[c] = m;
    var[c] = v;
    running_mean[c] += momentum * (m - running_mean[c]);
    // rows > 1: the host sees to it
    running_var[c] += momentum * (v * ((float)rows / (float)(rows - 1)) - running_var[c]);
    if (c == 0) num_batches_tracked[0] += 1;
}

extern "C" __global__
void batchnorm_backward_sums(const float* x, const float* dy, const float* mean, const float* var,
                             float* sum_dy, float* sum_dy_xhat, int rows, int C, float eps) {
    int c = global_thread();
    if (c >= C) return;

    LongSum dys, dy_xhats;
    float m = mean[c], rstd = 1.0f / sqrtf(var[c] + eps);
    for (int r = 0; r < rows; r++) {
        float g = dy[r * C + c];
        dys.add(g);
        dy_xhats.add(g * ((x[r * C + c] - m) * rstd));
    }
    sum_dy[c] = dys.sum;
    sum_dy_xhat[c] = dy_xhats.sum;
}
