// 25  Two buffers, one barrier.
//
//   y[m, n] = sum over k of a[m, k] * b[k, n]        a: [M, K], b: [K, N], y: [M, N]
//
// In exercise 23 a step has two barriers: the pieces must be there, and they must have been read before the next come.
// All wait for memory, then all multiply, and never both. With a second pair of tiles the next pieces can come into the
// one while the threads multiply what is in the other. Then one barrier a step says both: "the pieces of this step are
// there" and "everybody is done with the tiles that come next".
//
// bring(step) puts the pieces of a step into the pair of tiles step % 2. The loop below works and has
// two barriers a step. Bring the next step's pieces before you multiply this one's.

#define TILE 16

extern "C" __global__
void matmul(const float* a, const float* b, float* y, int M, int N, int K) {
    __shared__ float a_s[2][TILE][TILE], b_s[2][TILE][TILE];
    int tx = threadIdx.x, ty = threadIdx.y;
    int m = blockIdx.y * TILE + ty, n = blockIdx.x * TILE + tx;
    int steps = (K + TILE - 1) / TILE;
    auto bring = [&](int step) {
        int k = step * TILE;
        a_s[step % 2][ty][tx] = m < M && k + tx < K ? a[m * K + k + tx] : 0.0f;
        b_s[step % 2][ty][tx] = k + ty < K && n < N ? b[(k + ty) * N + n] : 0.0f;
    };

    float sum = 0.0f;
    // >>> solution
    bring(0);
    for (int step = 0; step < steps; step++) {
        __syncthreads();                         // this step's pieces are there, and the other pair has been read
        if (step + 1 < steps) bring(step + 1);
        for (int k = 0; k < TILE; k++) sum += a_s[step % 2][ty][k] * b_s[step % 2][k][tx];
    }
    // === task
    for (int step = 0; step < steps; step++) {
        bring(step);                             // TODO: one step ahead
        __syncthreads();
        for (int k = 0; k < TILE; k++) sum += a_s[step % 2][ty][k] * b_s[step % 2][k][tx];
        __syncthreads();
    }
    // <<<
    if (m < M && n < N) y[m * N + n] = sum;
}
