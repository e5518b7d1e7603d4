// 16  Batch norm's backward pass.
//
//   forward     xhat = (x - mean) * rstd        rstd = 1 / sqrt(var + eps)        y = gamma * xhat + beta
//
// mean and var are averages over all rows of the channel, so each x reaches y by three ways: by itself, by the mean,
// and by the variance. The three gradients add up to
//
//   dbeta  = sum over r of dy
//   dgamma = sum over r of dy * xhat
//   dx     = gamma * rstd * (dy - dbeta / rows - xhat * dgamma / rows)
//
//   x, dy, dx: [rows, C]; mean, var, gamma, dgamma, dbeta: [C]        a thread for each channel

extern "C" __global__
void batchnorm_backward(const float* x, const float* dy, const float* mean, const float* var, const float* gamma,
                        float* dx, float* dgamma, float* dbeta, int rows, int C, float eps) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    float m = mean[c], rstd = 1.0f / sqrtf(var[c] + eps);
    // >>> solution
    float sum_dy = 0.0f, sum_dy_xhat = 0.0f;
    for (int r = 0; r < rows; r++) {
        float g = dy[r * C + c];
        sum_dy += g;
        sum_dy_xhat += g * ((x[r * C + c] - m) * rstd);
    }
    for (int r = 0; r < rows; r++) {
        float xhat = (x[r * C + c] - m) * rstd;
        dx[r * C + c] = gamma[c] * rstd * (dy[r * C + c] - sum_dy / rows - xhat * (sum_dy_xhat / rows));
    }
    dgamma[c] = sum_dy_xhat;
    dbeta[c] = sum_dy;
    // === task
    // TODO: the two sums over the rows, then dx for each row
    // <<<
}
