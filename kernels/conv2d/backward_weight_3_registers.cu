// conv2d_backward_weight, rung 3: a thread computes TM x TN weights from what rung 2 has in shared memory.
//
//   formula    as in rung 2: for each image a matrix product, dw[k, oc] += A[p, k] * dy[n, p, oc]
//   shapes     x[N,H,W,IC]  dy[N,OH,OW,OC]  dw[KH,KW,IC,OC] = [K, OC]
//   mapping    grid (tiles of K, tiles of OC), THREADS threads; a block computes BM x BN weights, a thread TM rows,
//              BM / TM apart, and TN columns, BN / TN apart
//   cost       conv2d_backward_weight 4*(N*H*W*IC + N*OH*OW*OC + 2*KH*KW*IC*OC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP;
//              4 FLOP for each number that a thread reads from shared memory
//   aliasing   none
//   lesson     a faster block, and sixteen times fewer of them: on a GPU this rung can lose to rung 2 where there are
//              few weights, until the sum is split

#ifndef BM               // the host gives them (dcgan_cupy/ops/conv2d_steps.py)
#define BM 64            // rows of a block's tile
#define BN 64            // columns of a block's tile
#define BK 16            // depth of a step
#define TM 4             // rows of a thread
#define TN 4             // columns of a thread
#endif
#define COLUMN_THREADS (BN / TN)                         // threads along the columns
#define THREADS ((BM / TM) * COLUMN_THREADS)

// The tile's row of a thread's row i, and its column of column j.
__device__ __forceinline__ int tile_row(int ty, int i) { return ty + i * (BM / TM); }
__device__ __forceinline__ int tile_column(int tx, int j) { return tx + j * COLUMN_THREADS; }

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_backward_weight(const float* x, const float* dy, float* dw,
                            int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                            int stride_h, int stride_w, int pad_h, int pad_w) {
    __shared__ float a_s[BK][BM];                                    // A[p0 + row, k0 + column]
    __shared__ float b_s[BK][BN];                                    // dy[n, p0 + row, oc0 + column]
    const int K = KH * KW * IC;
    const int k0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;

    float acc[TM][TN] = {};
    for (int n = 0; n < N; n++) {
        float image[TM][TN] = {};                                    // a sum of sums loses less than one long sum
        for (int p0 = 0; p0 < OH * OW; p0 += BK) {
            for (int place = threadIdx.x; place < BK * BM; place += THREADS) {
                int p = p0 + place / BM, ow = p % OW, oh = p / OW;
                int k = k0 + place % BM, ic = k % IC, kw = k / IC % KW, kh = k / IC / KW;
                int h = oh * stride_h - pad_h + kh;
                int col = ow * stride_w - pad_w + kw;
                bool inside = oh < OH && k < K && h >= 0 && h < H && col >= 0 && col < W;
                a_s[place / BM][place % BM] = inside ? x[((n * H + h) * W + col) * IC + ic] : 0.0f;
            }
            for (int place = threadIdx.x; place < BK * BN; place += THREADS) {
                int p = p0 + place / BN, ow = p % OW, oh = p / OW, oc = oc0 + place % BN;
                b_s[place / BN][place % BN] = oh < OH && oc < OC ? dy[((n * OH + oh) * OW + ow) * OC + oc] : 0.0f;
            }
            __syncthreads();                                         // the pieces are there
            for (int p = 0; p < BK; p++) {
                float a[TM], b[TN];
#pragma unroll
                for (int i = 0; i < TM; i++) a[i] = a_s[p][tile_row(ty, i)];
#pragma unroll
                for (int j = 0; j < TN; j++) b[j] = b_s[p][tile_column(tx, j)];
#pragma unroll
                for (int i = 0; i < TM; i++)
#pragma unroll
                    for (int j = 0; j < TN; j++) image[i][j] += a[i] * b[j];
            }
            __syncthreads();                                         // and read: the next may come
        }
#pragma unroll
        for (int i = 0; i < TM; i++)
#pragma unroll
            for (int j = 0; j < TN; j++) acc[i][j] += image[i][j];
    }

#pragma unroll
    for (int i = 0; i < TM; i++) {
        int k = k0 + tile_row(ty, i);
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int oc = oc0 + tile_column(tx, j);
            if (k < K && oc < OC) dw[k * OC + oc] += acc[i][j];
        }
    }
}
