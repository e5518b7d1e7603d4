// Batch normalisation over the batches of several workers: what each tells the others, and what follows from all of it.
//
//   local statistics  of a worker's own rows, from its parts (fused.cu), in double: mean, and m2 = sum (x - mean)^2
//   join_workers      mean = sum of mean_w / W      m2 = sum of (m2_w + rows * (mean_w - mean)^2)   var = m2 / (W rows)
//                     in the order of the workers, so that each of them comes to the same bits; from there on as in
//                     fused.cu: mean + low, rstd, scale, shift, and the step of the running statistics
//   local gradients   the sums of g and of g * (x - mean) over a worker's own rows; the parameters' gradients take this
//                     worker's share: all workers' gradients are added up later
//   pull_workers      what the whole batch takes off dx, from the sums of all
//   shapes            x [rows, C]; parts [count, 2, C]; local [2, C]; all [W, 2, C]; pull [2, C]; statistics [5, C];
//                     all others [C]; rows those of one worker, as many for each
//   mapping           1-D grid, one thread a channel
//   cost              batchnorm_local_statistics 8*count*C + 28*C bytes, (2*count + 5)*C FLOP; batchnorm_join_workers
//                     16*workers*C + 44*C bytes, (6*workers + 20)*C FLOP; batchnorm_local_gradients
//                     8*count*C + 40*C bytes, (2*count + 5)*C FLOP; batchnorm_pull_workers 16*workers*C + 16*C bytes,
//                     (2*workers + 9)*C FLOP
//   aliasing          none
//   lesson            two means and two sums of squares join without a look at the data (Chan, Golub and LeVeque 1979),
//                     so a batch may lie on many machines

#include "index.cuh"
#include "origin.cuh"

// The rows of statistics [5, C].
#define MEAN statistics
#define LOW (statistics + C)
#define RSTD (statistics + 2 * C)
#define SCALE (statistics + 3 * C)
#define SHIFT (statistics + 4 * C)

extern "C" __global__
void batchnorm_local_statistics(const float* x, const float* parts, double* local, int rows, int C, int count) {
    int c = global_thread();
    if (c >= C) return;
    double sum_d = 0.0, sum_d2 = 0.0;
    for (int p = 0; p < count; p++) sum_d += parts[2 * p * C + c], sum_d2 += parts[(2 * p + 1) * C + c];
    double m = sum_d / rows, m2 = sum_d2 - sum_d * m;
    local[c] = origin(x, rows, C, c) + m;
    local[C + c] = m2 < 0.0 ? 0.0 : m2;                              // not fmax, which would hide a NaN
}

extern "C" __global__
void batchnorm_join_workers(const double* all, const float* gamma, const float* beta, float* statistics,
                            float* running_mean, float* running_var, long long* num_batches_tracked,
                            int rows, int C, int workers, float momentum, float eps) {
    int c = global_thread();
    if (c >= C) return;
    double mean = 0.0, m2 = 0.0, n = (double)workers * rows;
    for (int w = 0; w < workers; w++) mean += all[2 * w * C + c];
    mean /= workers;
    for (int w = 0; w < workers; w++) {
        double apart = all[2 * w * C + c] - mean;
        m2 += all[(2 * w + 1) * C + c] + rows * (apart * apart);
    }
    double rstd = 1.0 / sqrt(m2 / n + eps), low = mean - (float)mean;
    float scale = (float)(gamma[c] * rstd);
    MEAN[c] = (float)mean;
    LOW[c] = (float)low;                                             // what rounding took from the mean
    RSTD[c] = (float)rstd;
    SCALE[c] = scale;
    SHIFT[c] = (float)(beta[c] - low * scale);
    running_mean[c] = (float)(running_mean[c] + momentum * (mean - running_mean[c]));
    running_var[c] = (float)(running_var[c] + momentum * (m2 / (n - 1) - running_var[c]));
    if (c == 0) num_batches_tracked[0] += 1;
}

// dgamma, dbeta null: left out.
extern "C" __global__
void batchnorm_local_gradients(const float* parts, const float* statistics, double* local, float* dgamma, float* dbeta,
                               int C, int count) {
    int c = global_thread();
    if (c >= C) return;
    double sum_g = 0.0, sum_gx = 0.0;
    for (int p = 0; p < count; p++) sum_g += parts[2 * p * C + c], sum_gx += parts[(2 * p + 1) * C + c];
    local[c] = sum_g;
    local[C + c] = sum_gx;
    if (dgamma) dgamma[c] += (float)((sum_gx - LOW[c] * sum_g) * RSTD[c]);
    if (dbeta) dbeta[c] += (float)sum_g;
}

extern "C" __global__
void batchnorm_pull_workers(const double* all, const float* statistics, float* pull, int rows, int C, int workers) {
    int c = global_thread();
    if (c >= C) return;
    double sum_g = 0.0, sum_gx = 0.0, n = (double)workers * rows;
    for (int w = 0; w < workers; w++) sum_g += all[2 * w * C + c], sum_gx += all[(2 * w + 1) * C + c];
    double slope = (sum_gx - LOW[c] * sum_g) * RSTD[c] * RSTD[c] / n;
    pull[c] = (float)(sum_g / n - LOW[c] * slope);
    pull[C + c] = (float)slope;
}
