// conv2d_backward_input, rung 3: a thread computes TM x TN elements of dx from what rung 2 has in shared memory.
//
//   phases     a block works on the pixels of one remainder (a_h, a_w) of (h + pad, w + pad) by the stride: rung 2
//   formula    for each of its taps a matrix product: dx[m, ic] += A[m, oc] * w[kh,kw,ic,oc], m = (n, pixel of it)
//   shapes     dy[N,OH,OW,OC]  w[KH,KW,IC,OC]  dx[N,H,W,IC]
//   mapping    grid (tiles of a phase's pixels, tiles of IC, phases), THREADS threads; a block computes BM x BN
//              elements of dx, a thread TM rows, BM / TM apart, and TN columns, BN / TN apart
//   cost       conv2d_backward_input 4*(N*OH*OW*OC + KH*KW*IC*OC + N*H*W*IC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP in all
//              phases together, whole tiles; 4 FLOP for each number that a thread reads from shared memory
//   aliasing   none: dx may not overlap dy or w
//   lesson     the same step from rung 2 as forward's: what changes between the three products is only where A and B
//              lie. So rung 4 writes the product once, in a header, and each kernel says where its numbers are

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
void conv2d_backward_input(const float* dy, const float* w, const float* bias, float* dx,
                           int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                           int stride_h, int stride_w, int pad_h, int pad_w) {
    __shared__ float a_s[BM][BK];                                    // A[m0 + row, oc0 + column]
    __shared__ float b_s[BK][BN + 2];                                // w[kh, kw, ic0 + column, oc0 + row]
    const int a_h = blockIdx.z / stride_w, a_w = blockIdx.z % stride_w;                        // the phase: [0, stride)
    const int first_h = (a_h + stride_h - pad_h % stride_h) % stride_h;                        // its first pixel
    const int first_w = (a_w + stride_w - pad_w % stride_w) % stride_w;
    const int PH = (H - first_h + stride_h - 1) / stride_h, PW = (W - first_w + stride_w - 1) / stride_w;  // its pixels
    const int M = N * PH * PW;
    const int m0 = blockIdx.x * BM, ic0 = blockIdx.y * BN;
    if (m0 >= M) return;  // the whole block: a phase smaller than the largest
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;

    float acc[TM][TN] = {};
    for (int kh = a_h; kh < KH; kh += stride_h) {
        for (int kw = a_w; kw < KW; kw += stride_w) {
            for (int oc0 = 0; oc0 < OC; oc0 += BK) {
                for (int place = threadIdx.x; place < BM * BK; place += THREADS) {
                    int m = m0 + place / BK, oc = oc0 + place % BK;
                    int col = first_w + m % PW * stride_w, h = first_h + m / PW % PH * stride_h, n = m / PW / PH;
                    int oh = (h + pad_h - kh) / stride_h;            // exact; below 0 where the window began outside
                    int ow = (col + pad_w - kw) / stride_w;
                    bool inside = m < M && oh >= 0 && oh < OH && ow >= 0 && ow < OW;
                    const float* dy_pixel = dy + ((n * OH + oh) * OW + ow) * OC;                   // dy[n, oh, ow, 0]
                    a_s[place / BK][place % BK] = inside && oc < OC ? dy_pixel[oc] : 0.0f;
                }
                for (int place = threadIdx.x; place < BK * BN; place += THREADS) {
                    int oc = oc0 + place % BK, ic = ic0 + place / BK;                  // neighbours: neighbouring oc
                    const float* w_row = w + ((kh * KW + kw) * IC + ic) * OC;          // w[kh, kw, ic, 0]
                    b_s[place % BK][place / BK] = ic < IC && oc < OC ? w_row[oc] : 0.0f;
                }
                __syncthreads();                                     // the pieces are there
                for (int oc = 0; oc < BK; oc++) {
                    float a[TM], b[TN];
#pragma unroll
                    for (int i = 0; i < TM; i++) a[i] = a_s[tile_row(ty, i)][oc];
#pragma unroll
                    for (int j = 0; j < TN; j++) b[j] = b_s[oc][tile_column(tx, j)];
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
        int col = first_w + m % PW * stride_w, h = first_h + m / PW % PH * stride_h, n = m / PW / PH;
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int ic = ic0 + tile_column(tx, j);
            if (m < M && ic < IC) dx[((n * H + h) * W + col) * IC + ic] = bias ? acc[i][j] + bias[ic] : acc[i][j];
        }
    }
}
