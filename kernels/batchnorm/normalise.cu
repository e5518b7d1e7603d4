// Batch normalisation's passes over the elements, forward and backward, with the statistics that sums_*.cu has made.
//
//   forward     xhat = (x - mean) * rstd    y = gamma * xhat + beta    rstd = 1 / sqrt(var + eps)
//   backward    dx = gamma * rstd * (dy - sum_dy / rows - xhat * sum_dy_xhat / rows)
//               In evaluation mean and var are constants: the same with both sums taken as zero
//   shapes      x, y, dy, dx [rows, C]; all others [C]
//   mapping     1-D grid, one thread per element, channels fastest
//   cost        batchnorm_forward 8*rows*C bytes, 7*rows*C FLOP; batchnorm_backward_input 12*rows*C bytes, 12*rows*C
//               FLOP: memory bound
//   aliasing    y may be x; dx may be dy
//   lesson      the gradient reaches an element on three ways: directly, through the mean, through the variance. The
//               last two are the same for a whole channel, so they are summed once and subtracted here

#include "index.cuh"

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
void batchnorm_backward_input(const float* x, const float* dy, const float* mean, const float* var, const float* gamma,
                              const float* sum_dy, const float* sum_dy_xhat, float* dx, int rows, int C, float eps) {
    int i = global_thread();
    if (i >= rows * C) return;
    int c = i % C;
    float rstd = 1.0f / sqrtf(var[c] + eps), xhat = (x[i] - mean[c]) * rstd;
    float centred = sum_dy ? dy[i] - sum_dy[c] / rows - xhat * (sum_dy_xhat[c] / rows) : dy[i];   // null: evaluation
    dx[i] = gamma[c] * rstd * centred;
}
