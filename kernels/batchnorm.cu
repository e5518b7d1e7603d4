// Batch normalisation over every axis but the channels (Ioffe & Szegedy 2015), with the gradients of training and
// evaluation.
//
//   statistics  mean[c] = average of x[., c]   var[c] = average of (x[., c] - mean[c])^2   rows = N*H*W values each
//               running = (1 - momentum) * running + momentum * new, with var * rows / (rows - 1), the unbiased
//               estimate
//   forward     xhat = (x - mean) * rstd    y = gamma * xhat + beta    rstd = 1 / sqrt(var + eps)
//   backward    sum_dy[c] = sum of dy   sum_dy_xhat[c] = sum of dy * xhat   dbeta += sum_dy, dgamma += sum_dy_xhat
//               dx = gamma * rstd * (dy - sum_dy / rows - xhat * sum_dy_xhat / rows)
//               In evaluation mean and var are constants: the same with both sums taken as zero
//   shapes      x, y, dy, dx [rows, C]; all others [C]
//   mapping     statistics and sums: a block per 32 channels, 32 x 8 threads, each warp reads 32 neighbouring channels
//               of a row. forward and dx: 1-D grid, one thread per element
//   cost        batchnorm_statistics 4*rows*C bytes, 17*rows*C FLOP; batchnorm_forward 8*rows*C bytes, 7*rows*C FLOP;
//               batchnorm_backward_sums 8*rows*C bytes, 13*rows*C FLOP; batchnorm_backward_input 12*rows*C bytes,
//               12*rows*C FLOP. Memory bound; the statistics ask for x twice
//   aliasing    y may be x; dx may be dy
//   lesson      variance by sum(x^2) - sum(x)^2 / n loses every digit when the mean is large. Subtract the mean first,
//               and correct for what rounding left in the mean: with d = x - mean, var = avg(d^2) - avg(d)^2, mean +=
//               avg(d)

#include "index.cuh"
#include "reduce.cuh"

extern "C" __global__
void batchnorm_statistics(const float* x, float* mean, float* var, float* running_mean, float* running_var,
                          long long* num_batches_tracked, int rows, int C, float momentum) {
    __shared__ float rough[CHANNELS];                                // the mean, before its correction
    int c = blockIdx.x * CHANNELS + threadIdx.x;
    LongSum values, d1s, d2s;
    if (c < C) for (int r = threadIdx.y; r < rows; r += ROW_THREADS) values.add(x[r * C + c]);
    float sum = sum_over_rows(values.sum);
    if (threadIdx.y == 0) rough[threadIdx.x] = sum / rows;
    __syncthreads();                                                 // every row of threads needs the mean

    float center = rough[threadIdx.x];
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
void batchnorm_forward(const float* x, const float* mean, const float* var, const float* gamma, const float* beta,
                       float* y, int rows, int C, float eps) {
    int i = global_thread();
    if (i >= rows * C) return;
    int c = i % C;
    float xhat = (x[i] - mean[c]) * (1.0f / sqrtf(var[c] + eps));
    y[i] = gamma[c] * xhat + beta[c];
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

extern "C" __global__
void batchnorm_backward_input(const float* x, const float* dy, const float* mean, const float* var, const float* gamma,
                              const float* sum_dy, const float* sum_dy_xhat, float* dx, int rows, int C, float eps) {
    int i = global_thread();
    if (i >= rows * C) return;
    int c = i % C;
    float rstd = 1.0f / sqrtf(var[c] + eps), xhat = (x[i] - mean[c]) * rstd;
    float centred = sum_dy ? dy[i] - sum_dy[c] / rows - xhat * (sum_dy_xhat[c] / rows) : dy[i];   // null: evaluation
    dx[i] = gamma[c] * rstd * centred;
}
