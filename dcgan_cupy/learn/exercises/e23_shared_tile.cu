// 23  A tile for the whole block.
//
//   y[m, n] = sum over k of a[m, k] * b[k, n]        a: [M, K], b: [K, N], y: [M, N]
//
// The kernel below is right, and asks for each number of a N times, and for each of b M times. But the 16 x 16 threads
// of a block together need only 16 rows of a and 16 columns of b. Let them go along k in pieces of 16: each thread
// brings one number of a and one of b into shared memory; then all multiply what is there; then the next piece. So the
// block asks for each number once.
//
// Outside of the matrices put zeros into the tiles: they add nothing. Threads without an output still help to bring,
// and must reach the barriers.

#define TILE 16

extern "C" __global__
void matmul(const float* a, const float* b, float* y, int M, int N, int K) {
    int tx = threadIdx.x, ty = threadIdx.y;
    int m = blockIdx.y * TILE + ty, n = blockIdx.x * TILE + tx;      // this thread's output
    float sum = 0.0f;
    // >>> solution
    __shared__ float a_s[TILE][TILE];                                // a[m0 + row, k0 + column]
    __shared__ float b_s[TILE][TILE];                                // b[k0 + row, n0 + column]
    for (int k0 = 0; k0 < K; k0 += TILE) {
        a_s[ty][tx] = m < M && k0 + tx < K ? a[m * K + k0 + tx] : 0.0f;
        b_s[ty][tx] = k0 + ty < K && n < N ? b[(k0 + ty) * N + n] : 0.0f;
        __syncthreads();                                             // the pieces are there
        for (int k = 0; k < TILE; k++) sum += a_s[ty][k] * b_s[k][tx];
        __syncthreads();                                             // and read: the next may come
    }
    // === task
    if (m < M && n < N)
        for (int k = 0; k < K; k++) sum += a[m * K + k] * b[k * N + n];              // TODO: by way of shared memory
    // <<<
    if (m < M && n < N) y[m * N + n] = sum;
}
