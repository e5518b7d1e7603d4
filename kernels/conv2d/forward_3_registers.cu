// conv2d_forward, rung 3: a thread computes TM x TN outputs, so that a number read from shared memory serves several.
//
//   formula    as in rung 2: for each tap a matrix product, y[m, oc] += A[m, ic] * w[kh,kw,ic,oc]
//   shapes     x[N,H,W,IC]  w[KH,KW,IC,OC]  y[N,OH,OW,OC] = [M, OC]
//   mapping    grid (tiles of M, tiles of OC), THREADS threads; a block computes BM x BN outputs, a thread TM rows,
//              BM / TM apart, and TN columns, BN / TN apart: neighbouring threads read and write neighbouring numbers
//   cost       conv2d_forward 4*(N*H*W*IC + KH*KW*IC*OC + N*OH*OW*OC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP. In a step of
//              the sum a thread reads TM + TN numbers from shared memory for 2*TM*TN FLOP: 4 a number, rung 2 has 1
//   aliasing   none: y may not overlap x or w
//   lesson     rung 2 reads two numbers from shared memory for each multiplication and waits for them. Registers are
//              the next cache: acc, a and b live there, because every loop over them is unrolled

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
void conv2d_forward(const float* x, const float* w, const float* bias, float* y,
                    int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                    int stride_h, int stride_w, int pad_h, int pad_w) {
    __shared__ float a_s[BM][BK];                                    // A[m0 + row, ic0 + column]
    __shared__ float b_s[BK][BN];                                    // w[kh, kw, ic0 + row, oc0 + column]
    const int M = N * OH * OW;
    const int m0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;

    float acc[TM][TN] = {};
    for (int kh = 0; kh < KH; kh++) {
        for (int kw = 0; kw < KW; kw++) {
            const float* w_tap = w + (kh * KW + kw) * IC * OC;       // w[kh, kw, 0, 0]
            for (int ic0 = 0; ic0 < IC; ic0 += BK) {
                for (int place = threadIdx.x; place < BM * BK; place += THREADS) {
                    int m = m0 + place / BK, ic = ic0 + place % BK;
                    int ow = m % OW, oh = m / OW % OH, n = m / OW / OH;
                    int h = oh * stride_h - pad_h + kh;              // [-pad_h, H + pad_h)
                    int col = ow * stride_w - pad_w + kw;            // [-pad_w, W + pad_w)
                    bool inside = m < M && h >= 0 && h < H && col >= 0 && col < W;
                    const float* x_pixel = x + ((n * H + h) * W + col) * IC;     // x[n, h, col, 0]
                    a_s[place / BK][place % BK] = inside && ic < IC ? x_pixel[ic] : 0.0f;
                }
                for (int place = threadIdx.x; place < BK * BN; place += THREADS) {
                    int ic = ic0 + place / BN, oc = oc0 + place % BN;
                    b_s[place / BN][place % BN] = ic < IC && oc < OC ? w_tap[ic * OC + oc] : 0.0f;
                }
                __syncthreads();                                     // the pieces are there
                for (int ic = 0; ic < BK; ic++) {
                    float a[TM], b[TN];
#pragma unroll
                    for (int i = 0; i < TM; i++) a[i] = a_s[tile_row(ty, i)][ic];
#pragma unroll
                    for (int j = 0; j < TN; j++) b[j] = b_s[ic][tile_column(tx, j)];
#pragma unroll
                    for (int i = 0; i < TM; i++)
#pragma unroll
                        for (int j = 0; j < TN; j++) acc[i][j] += a[i] * b[j];
                }
                __syncthreads();                                     // and read: the next may come
            }
        }
    }

#pragma unroll
    for (int i = 0; i < TM; i++) {
        int m = m0 + tile_row(ty, i);
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int oc = oc0 + tile_column(tx, j);
            if (m < M && oc < OC) y[m * OC + oc] = bias ? acc[i][j] + bias[oc] : acc[i][j];
        }
    }
}
