// Batch normalisation, rung 2: one pass for the statistics, and the activation behind it in the same passes.
//
//   statistics  a block reads PART rows once and keeps, for each channel, the mean and m2 = sum of squared distances from it;
//               join adds parts in order (Chan et al. 1979): n = na + nb, d = mean_b - mean_a,
//               mean = mean_a + d * nb / n, m2 = m2_a + m2_b + d^2 * na * nb / n
//   forward     xhat = (x - mean) * rstd    p = gamma * xhat + beta = fma(x - mean, scale, beta), scale = gamma * rstd
//               y = Epilogue::forward(p)               ReLU, leaky ReLU or none (activation.cuh)
//   backward    g = Epilogue::backward(p, dy)          p has y's sign, which is all that these three ask; it is computed again from x, to the
//                                                      same bits: y need not be read or kept
//               dx = scale * (g - sum_g / rows - xhat * sum_g_xhat / rows)
//   shapes      x, y, dy, dx [rows, C]; parts [P, 2, C]; all others [C]
//   mapping     a thread owns V neighbouring channels. parts: grid (channel groups, P), LANES x ROWS threads, a row is read by
//               neighbouring lanes. joins: one thread a channel. forward and dx: 1-D grid, V elements a thread
//   cost        memory bound: forward 12 bytes an element (x for the statistics, x again, y), backward 20 (x, dy twice, dx). Rung 1 and
//               a separate activation move 24 and 32
//   aliasing    y may be x, dx may be dy
//   lesson      fuse what reads the same data; recompute what is cheaper to compute than to fetch. And one pass for a variance needs
//               no trust in small means: each thread counts from its own first value, and parts are joined by their means

#include "activation.cuh"
#include "index.cuh"

#ifndef V
#define V 1              // neighbouring channels of a thread, a divisor of C
#endif
#ifndef LANES
#define LANES 32         // threads side by side in a row
#endif
#ifndef ROWS
#define ROWS 8           // rows of threads
#endif
#ifndef KNOWN
#define KNOWN (void)0    // sizes that the host promises, as assignments: C = 64
#endif

// Adds (mean_b, m2_b) of nb values to (mean, m2) of na values.
__device__ __forceinline__ void join(float na, float& mean, float& m2, float nb, float mean_b, float m2_b) {
    float d = mean_b - mean, share = nb / (na + nb);
    mean += d * share;
    m2 += m2_b + d * d * (na * share);
}

__device__ __forceinline__ int rows_of_thread(int first, int last, int ty) {     // of rows first + ty, + ROWS, …
    return last - first > ty ? (last - first - ty + ROWS - 1) / ROWS : 0;
}

extern "C" __global__ __launch_bounds__(LANES * ROWS)
void batchnorm_part_statistics(const float* x, float* parts, int rows, int C, int rows_per_part) {
    KNOWN;
    __shared__ float means[ROWS][LANES * V], m2s[ROWS][LANES * V];
    int c = (blockIdx.x * LANES + threadIdx.x) * V;                  // first channel of this thread
    int first = blockIdx.y * rows_per_part, last = min(rows, first + rows_per_part);
    int count = c < C ? rows_of_thread(first, last, threadIdx.y) : 0;
    float origin[V], d1[V], d2[V];
    if (count > 0) {
        const float* p = x + (first + threadIdx.y) * C + c;
#pragma unroll
        for (int v = 0; v < V; v++) origin[v] = p[v], d1[v] = d2[v] = 0.0f;
        for (int r = 0; r < count; r++, p += ROWS * C)
#pragma unroll
            for (int v = 0; v < V; v++) {
                float d = p[v] - origin[v];
                d1[v] += d;
                d2[v] += d * d;
            }
#pragma unroll
        for (int v = 0; v < V; v++) {
            means[threadIdx.y][threadIdx.x * V + v] = origin[v] + d1[v] / count;
            float m2 = d2[v] - d1[v] * (d1[v] / count);
            m2s[threadIdx.y][threadIdx.x * V + v] = m2 < 0.0f ? 0.0f : m2;      // not fmaxf, which would hide a NaN
        }
    }
    __syncthreads();                                                 // every row of threads has left its own
    if (threadIdx.y != 0 || count == 0) return;                      // no barrier below
#pragma unroll
    for (int v = 0; v < V; v++) {
        int mine = threadIdx.x * V + v, n = count;
        float mean = means[0][mine], m2 = m2s[0][mine];
        for (int r = 1; r < ROWS; r++) {
            int more = rows_of_thread(first, last, r);
            if (more == 0) break;
            join((float)n, mean, m2, (float)more, means[r][mine], m2s[r][mine]);
            n += more;
        }
        parts[2 * blockIdx.y * C + c + v] = mean;
        parts[(2 * blockIdx.y + 1) * C + c + v] = m2;
    }
}

extern "C" __global__
void batchnorm_join_statistics(const float* parts, const float* gamma, float* mean, float* rstd, float* scale,
                               float* running_mean, float* running_var, long long* num_batches_tracked,
                               int rows, int C, int rows_per_part, float momentum, float eps) {
    int c = global_thread();
    if (c >= C) return;
    float m = parts[c], m2 = parts[C + c];
    int n = min(rows, rows_per_part);
    for (int p = 1; n < rows; p++) {
        int more = min(rows - n, rows_per_part);
        join((float)n, m, m2, (float)more, parts[2 * p * C + c], parts[(2 * p + 1) * C + c]);
        n += more;
    }
    float r = 1.0f / sqrtf(m2 / rows + eps);
    mean[c] = m;
    rstd[c] = r;
    scale[c] = gamma[c] * r;
    running_mean[c] += momentum * (m - running_mean[c]);
    running_var[c] += momentum * (m2 / (rows - 1) - running_var[c]);         // rows > 1: the host sees to it
    if (c == 0) num_batches_tracked[0] += 1;
}

// Evaluation: the running statistics take the batch's place.
extern "C" __global__
void batchnorm_running_scale(const float* running_var, const float* gamma, float* rstd, float* scale, int C, float eps) {
    int c = global_thread();
    if (c >= C) return;
    rstd[c] = 1.0f / sqrtf(running_var[c] + eps);
    scale[c] = gamma[c] * rstd[c];
}

extern "C" __global__
void batchnorm_activation_forward(const float* x, const float* mean, const float* scale, const float* beta, float* y,
                                  int rows, int C) {
    KNOWN;
    int i = global_thread();
    if (i >= rows * (C / V)) return;
    int c = i % (C / V) * V;
    float p[V];                                                      // all loads before the first store: y may be x, so no compiler
#pragma unroll                                                       // may widen loads that stand between stores
    for (int v = 0; v < V; v++) {
        p[v] = fmaf(x[i * V + v] - mean[c + v], scale[c + v], beta[c + v]);
        p[v] = Epilogue::forward(p[v]);
    }
#pragma unroll
    for (int v = 0; v < V; v++) y[i * V + v] = p[v];
}

extern "C" __global__ __launch_bounds__(LANES * ROWS)
void batchnorm_part_gradients(const float* x, const float* dy, const float* mean, const float* rstd, const float* scale, const float* beta,
                              float* parts, int rows, int C, int rows_per_part) {
    KNOWN;
    __shared__ float s0[ROWS][LANES * V], s1[ROWS][LANES * V];
    int c = (blockIdx.x * LANES + threadIdx.x) * V;
    int first = blockIdx.y * rows_per_part, last = min(rows, first + rows_per_part);
    float sum_g[V] = {}, sum_gx[V] = {};
    if (c < C) {
        float m[V], s[V], b[V];
#pragma unroll
        for (int v = 0; v < V; v++) m[v] = mean[c + v], s[v] = scale[c + v], b[v] = beta[c + v];
        for (int r = first + threadIdx.y; r < last; r += ROWS)
#pragma unroll
            for (int v = 0; v < V; v++) {
                float centred = x[r * C + c + v] - m[v], g = dy[r * C + c + v];
                g = Epilogue::backward(fmaf(centred, s[v], b[v]), g);
                sum_g[v] += g;
                sum_gx[v] += g * centred;                            // times rstd at the end
            }
#pragma unroll
        for (int v = 0; v < V; v++) s0[threadIdx.y][threadIdx.x * V + v] = sum_g[v], s1[threadIdx.y][threadIdx.x * V + v] = sum_gx[v];
    }
    __syncthreads();                                                 // every row of threads has left its sums
    if (threadIdx.y != 0 || c >= C) return;
#pragma unroll
    for (int v = 0; v < V; v++) {
        float a = 0.0f, b = 0.0f;
        for (int r = 0; r < ROWS; r++) a += s0[r][threadIdx.x * V + v], b += s1[r][threadIdx.x * V + v];
        parts[2 * blockIdx.y * C + c + v] = a;
        parts[(2 * blockIdx.y + 1) * C + c + v] = b * rstd[c + v];
    }
}

// The sums over all parts; added to the parameters' gradients too, unless those are null.
extern "C" __global__
void batchnorm_join_gradients(const float* parts, float* sum_g, float* sum_g_xhat, float* dgamma, float* dbeta, int C, int count) {
    int c = global_thread();
    if (c >= C) return;
    float a = 0.0f, b = 0.0f;
    for (int p = 0; p < count; p++) a += parts[2 * p * C + c], b += parts[(2 * p + 1) * C + c];
    sum_g[c] = a;
    sum_g_xhat[c] = b;
    if (dgamma) dgamma[c] += b;
    if (dbeta) dbeta[c] += a;
}

extern "C" __global__
void batchnorm_activation_backward(const float* x, const float* dy, const float* mean, const float* rstd, const float* scale,
                                   const float* beta, const float* sum_g, const float* sum_g_xhat, float* dx,
                                   int rows, int C) {                           // both sums null: evaluation
    KNOWN;
    int i = global_thread();
    if (i >= rows * (C / V)) return;
    int c = i % (C / V) * V;
    const float one_over_rows = 1.0f / rows;
    float centred[V], g[V];                                          // all loads before the first store, as in forward
#pragma unroll
    for (int v = 0; v < V; v++) {
        centred[v] = x[i * V + v] - mean[c + v], g[v] = dy[i * V + v];
        g[v] = Epilogue::backward(fmaf(centred[v], scale[c + v], beta[c + v]), g[v]);
    }
    if (sum_g)
#pragma unroll
        for (int v = 0; v < V; v++)
            g[v] -= (sum_g[c + v] + centred[v] * rstd[c + v] * sum_g_xhat[c + v]) * one_over_rows;
#pragma unroll
    for (int v = 0; v < V; v++) g[v] *= scale[c + v];
#pragma unroll
    for (int v = 0; v < V; v++) dx[i * V + v] = g[v];
}
