// 24  Registers: a number read once serves four times.
//
//   y[m, n] = sum over k of a[m, k] * b[k, n]        a: [M, K], b: [K, N], y: [M, N]
//
// A block computes BM x BN outputs with the tiles of exercise 23, and each thread TM x TN of them. The loop below reads
// two numbers from shared memory for each product, and shared memory is what it waits for. But a thread's TM * TN
// products of one k need only TM numbers of a_s and TN of b_s. Read those into registers first: float a_k[TM], b_k[TN].
//
// Arrays lie in registers only if every index is known to the compiler: so the loops over them are unrolled.

#define BM 32
#define BN 32
#define BK 8
#define TM 4
#define TN 4
#define THREADS ((BM / TM) * (BN / TN))

extern "C" __global__
void matmul(const float* a, const float* b, float* y, int M, int N, int K) {
    __shared__ float a_s[BM][BK], b_s[BK][BN];
    const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
    const int tx = threadIdx.x % (BN / TN), ty = threadIdx.x / (BN / TN);

    float acc[TM][TN] = {};                                          // rows ty + i * BM / TM, columns tx + j * BN / TN
    for (int k0 = 0; k0 < K; k0 += BK) {
        for (int place = threadIdx.x; place < BM * BK; place += THREADS) {
            int m = m0 + place / BK, k = k0 + place % BK;
            a_s[place / BK][place % BK] = m < M && k < K ? a[m * K + k] : 0.0f;
        }
        for (int place = threadIdx.x; place < BK * BN; place += THREADS) {
            int k = k0 + place / BN, n = n0 + place % BN;
            b_s[place / BN][place % BN] = k < K && n < N ? b[k * N + n] : 0.0f;
        }
        __syncthreads();                                             // the pieces are there
        // >>> solution
        for (int k = 0; k < BK; k++) {
            float a_k[TM], b_k[TN];
#pragma unroll
            for (int i = 0; i < TM; i++) a_k[i] = a_s[ty + i * (BM / TM)][k];
#pragma unroll
            for (int j = 0; j < TN; j++) b_k[j] = b_s[k][tx + j * (BN / TN)];
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++) acc[i][j] += a_k[i] * b_k[j];
        }
        // === task
        for (int i = 0; i < TM; i++)
            for (int j = 0; j < TN; j++)
                for (int k = 0; k < BK; k++)                         // TODO: k outside; a_k, b_k read once for each k
                    acc[i][j] += a_s[ty + i * (BM / TM)][k] * b_s[k][tx + j * (BN / TN)];
        // <<<
        __syncthreads();                                             // and read: the next may come
    }

#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int m = m0 + ty + i * (BM / TM), n = n0 + tx + j * (BN / TN);
            if (m < M && n < N) y[m * N + n] = acc[i][j];
        }
}
