// Batch normalisation, rung 4: one pass for the statistics, and the activation behind it in the same passes.
//
//   statistics  a block reads a part of the rows once and adds up, for each channel, d and d^2, d = x - origin. The
//               origin is one value for the whole channel, the middle one of three of its own: near the mean, seen from
//               the deviation. join, in double: m = sum of d / rows, mean + low = origin + m as two floats, var = sum
//               of d^2 / rows - m^2
//   forward     xhat = (x - mean - low) * rstd         p = gamma * xhat + beta = fma(x - mean, scale, shift)
//                                                      scale = gamma * rstd, shift = beta - low * scale
//               y = Epilogue::forward(p)               ReLU, leaky ReLU or none (activation.cuh)
//   backward    g = Epilogue::backward(p, dy)
//               p has y's sign, which is all that these three ask; it is computed again from x, to the
//                                                      same bits: y need not be read or kept
//               dx = scale * (g - sum_g / rows - xhat * sum_g_xhat / rows) = scale * (g - pull_0 - (x - mean) * pull_1)
//   shapes      x, y, dy, dx [rows, C]; parts [P, 2, C]; pull [2, C]; all others [C], five of them in one array:
//               statistics [5, C]
//   mapping     a thread owns V neighbouring channels. parts: grid (channel groups, P), LANES x ROWS threads, a row is
//               read by neighbouring lanes. joins: one thread a channel. forward and dx: 1-D grid, V elements a thread
//   cost        batchnorm_part_statistics 4*rows*C + 8*C*rows/rows_per_part bytes, 5*rows*C FLOP;
//               batchnorm_join_statistics 8*count*C + 56*C bytes, (2*count + 19)*C FLOP; batchnorm_running_statistics
//               36*C bytes, 4*C FLOP; batchnorm_activation_forward 8*rows*C bytes, 4*rows*C FLOP;
//               batchnorm_part_gradients 8*rows*C + 8*C*rows/rows_per_part bytes, 8*rows*C FLOP;
//               batchnorm_join_gradients 8*count*C + 32*C bytes, (2*count + 10)*C FLOP; batchnorm_activation_backward
//               12*rows*C bytes, 8*rows*C FLOP (with a leaky ReLU). Memory bound: 12 bytes an element forward, 20
//               backward, where rung 1 and a separate activation move 24 and 32
//   aliasing    y may be x, dx may be dy
//   lesson      fuse what reads the same data; recompute what is cheaper to compute than to fetch. And one pass is
//               enough for a variance: sum(x^2) - sum(x)^2 / n loses digits only where the mean is many deviations away
//               from 0, so count from a value of the channel. Means far from 0 stay two floats: rounded to one, 1e6
//               would be off by 3e-2

#include "activation.cuh"
#include "index.cuh"
#include "origin.cuh"

#ifndef V
#define V 1              // neighbouring channels of a thread, a divisor of C
#endif
#ifndef LANES
#define LANES 32         // threads side by side in a row
#endif
#ifndef ROWS
#define ROWS 8           // rows of threads
#endif
#ifndef RUN
#define RUN 64           // rows that a thread adds up before it adds their sum to the others': short sums round less
#endif
#ifndef KNOWN
#define KNOWN (void)0    // sizes that the host promises, as assignments: C = 64
#endif

// The rows of statistics [5, C].
#define MEAN statistics
#define LOW (statistics + C)
#define RSTD (statistics + 2 * C)
#define SCALE (statistics + 3 * C)
#define SHIFT (statistics + 4 * C)

// parts[blockIdx.y, 0 and 1, c] = a and b, added over the block's rows of threads. Every thread of the block must come
// here.
__device__ __forceinline__ void write_part(const float (&a)[V], const float (&b)[V], float* parts, int c, int C) {
    __shared__ float a_s[ROWS][LANES * V], b_s[ROWS][LANES * V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        a_s[threadIdx.y][threadIdx.x * V + v] = a[v];
        b_s[threadIdx.y][threadIdx.x * V + v] = b[v];
    }
    __syncthreads();                                                 // every row of threads has left its sums
    if (threadIdx.y != 0 || c >= C) return;                          // no barrier below
#pragma unroll
    for (int v = 0; v < V; v++) {
        float sum_a = 0.0f, sum_b = 0.0f;
        for (int r = 0; r < ROWS; r++) sum_a += a_s[r][threadIdx.x * V + v], sum_b += b_s[r][threadIdx.x * V + v];
        parts[2 * blockIdx.y * C + c + v] = sum_a;
        parts[(2 * blockIdx.y + 1) * C + c + v] = sum_b;
    }
}

extern "C" __global__ __launch_bounds__(LANES * ROWS)
void batchnorm_part_statistics(const float* x, float* parts, int rows, int C, int rows_per_part) {
    KNOWN;
    int c = (blockIdx.x * LANES + threadIdx.x) * V;                  // first channel of this thread
    int first = blockIdx.y * rows_per_part, last = min(rows, first + rows_per_part);
    float sum_d[V] = {}, sum_d2[V] = {};
    if (c < C) {
        float from[V];
#pragma unroll
        for (int v = 0; v < V; v++) from[v] = origin(x, rows, C, c + v);
        for (int r = first + threadIdx.y; r < last;) {
            float run_d[V] = {}, run_d2[V] = {};
            for (int stop = min(last, r + RUN * ROWS); r < stop; r += ROWS)
#pragma unroll
                for (int v = 0; v < V; v++) {
                    float d = x[r * C + c + v] - from[v];
                    run_d[v] += d;
                    run_d2[v] += d * d;
                }
#pragma unroll
            for (int v = 0; v < V; v++) sum_d[v] += run_d[v], sum_d2[v] += run_d2[v];
        }
    }
    write_part(sum_d, sum_d2, parts, c, C);
}

extern "C" __global__
void batchnorm_join_statistics(const float* x, const float* parts, const float* gamma, const float* beta,
    float* statistics,
                               float* running_mean, float* running_var, long long* num_batches_tracked,
                               int rows, int C, int count, float momentum, float eps) {
    int c = global_thread();
    if (c >= C) return;
    double sum_d = 0.0, sum_d2 = 0.0;                                // their difference below may cancel
    for (int p = 0; p < count; p++) sum_d += parts[2 * p * C + c], sum_d2 += parts[(2 * p + 1) * C + c];
    double m = sum_d / rows, m2 = sum_d2 - sum_d * m, mean = origin(x, rows, C, c) + m;
    m2 = m2 < 0.0 ? 0.0 : m2;                                        // not fmax, which would hide a NaN
    double rstd = 1.0 / sqrt(m2 / rows + eps), low = mean - (float)mean;
    float scale = (float)(gamma[c] * rstd);
    MEAN[c] = (float)mean;
    LOW[c] = (float)low;                                             // what rounding took from the mean
    RSTD[c] = (float)rstd;
    SCALE[c] = scale;
    SHIFT[c] = (float)(beta[c] - low * scale);
    running_mean[c] = (float)(running_mean[c] + momentum * (mean - running_mean[c]));
    // rows > 1: the host sees to it
    running_var[c] = (float)(running_var[c] + momentum * (m2 / (rows - 1) - running_var[c]));
    if (c == 0) num_batches_tracked[0] += 1;
}

// Evaluation: the running statistics take the batch's place.
extern "C" __global__
void batchnorm_running_statistics(const float* running_mean, const float* running_var, const float* gamma,
    const float* beta,
                                  float* statistics, int C, float eps) {
    int c = global_thread();
    if (c >= C) return;
    float rstd = 1.0f / sqrtf(running_var[c] + eps);
    MEAN[c] = running_mean[c];
    LOW[c] = 0.0f;
    RSTD[c] = rstd;
    SCALE[c] = gamma[c] * rstd;
    SHIFT[c] = beta[c];
}

extern "C" __global__
void batchnorm_activation_forward(const float* x, const float* statistics, float* y, int rows, int C) {
    KNOWN;
    int i = global_thread();
    if (i >= rows * (C / V)) return;
    int c = i % (C / V) * V;
    float p[V];  // all loads before the first store: y may be x, so no compiler
#pragma unroll                                                       // may widen loads that stand between stores
    for (int v = 0; v < V; v++) p[v] = Epilogue::forward(fmaf(x[i * V + v] - MEAN[c + v], SCALE[c + v], SHIFT[c + v]));
#pragma unroll
    for (int v = 0; v < V; v++) y[i * V + v] = p[v];
}

extern "C" __global__ __launch_bounds__(LANES * ROWS)
void batchnorm_part_gradients(const float* x, const float* dy, const float* statistics, float* parts,
                              int rows, int C, int rows_per_part) {
    KNOWN;
    int c = (blockIdx.x * LANES + threadIdx.x) * V;
    int first = blockIdx.y * rows_per_part, last = min(rows, first + rows_per_part);
    float sum_g[V] = {}, sum_gx[V] = {};
    if (c < C) {
        float m[V], s[V], b[V];
#pragma unroll
        for (int v = 0; v < V; v++) m[v] = MEAN[c + v], s[v] = SCALE[c + v], b[v] = SHIFT[c + v];
        for (int r = first + threadIdx.y; r < last;) {
            float run_g[V] = {}, run_gx[V] = {};
            for (int stop = min(last, r + RUN * ROWS); r < stop; r += ROWS)
#pragma unroll
                for (int v = 0; v < V; v++) {
                    float centred = x[r * C + c + v] - m[v], g = dy[r * C + c + v];
                    g = Epilogue::backward(fmaf(centred, s[v], b[v]), g);
                    run_g[v] += g;
                    run_gx[v] += g * centred;                        // times rstd, and low taken off, at the end
                }
#pragma unroll
            for (int v = 0; v < V; v++) sum_g[v] += run_g[v], sum_gx[v] += run_gx[v];
        }
    }
    write_part(sum_g, sum_gx, parts, c, C);
}

// The sums over all parts; added to the parameters' gradients, unless those are null.
extern "C" __global__
void batchnorm_join_gradients(const float* parts, const float* statistics, float* pull, float* dgamma, float* dbeta,
                              int rows, int C, int count) {
    int c = global_thread();
    if (c >= C) return;
    double sum_g = 0.0, sum_gx = 0.0;
    for (int p = 0; p < count; p++) sum_g += parts[2 * p * C + c], sum_gx += parts[(2 * p + 1) * C + c];
    double sum_g_xhat = (sum_gx - LOW[c] * sum_g) * RSTD[c], slope = sum_g_xhat * RSTD[c] / rows;
    pull[c] = (float)(sum_g / rows - LOW[c] * slope);
    pull[C + c] = (float)slope;
    if (dgamma) dgamma[c] += (float)sum_g_xhat;
    if (dbeta) dbeta[c] += (float)sum_g;
}

extern "C" __global__
void batchnorm_activation_backward(const float* x, const float* dy, const float* statistics, const float* pull,
    float* dx,
                                   int rows, int C) {                // pull null: evaluation
    KNOWN;
    int i = global_thread();
    if (i >= rows * (C / V)) return;
    int c = i % (C / V) * V;
    float centred[V], g[V];                                          // all loads before the first store, as in forward
#pragma unroll
    for (int v = 0; v < V; v++) {
        centred[v] = x[i * V + v] - MEAN[c + v];
        g[v] = Epilogue::backward(fmaf(centred[v], SCALE[c + v], SHIFT[c + v]), dy[i * V + v]);
    }
    if (pull)
#pragma unroll
        for (int v = 0; v < V; v++) g[v] -= fmaf(centred[v], pull[C + c + v], pull[c + v]);
#pragma unroll
    for (int v = 0; v < V; v++) g[v] *= SCALE[c + v];
#pragma unroll
    for (int v = 0; v < V; v++) dx[i * V + v] = g[v];
}
