// conv2d_backward_input, rung 2: a phase is a matrix product, and a block loads each number once for all its threads.
//
//   phases     all pixels of dx with one remainder (a_h, a_w) of (h + pad, w + pad) by the stride are reached by the
//              same taps: a block works on one phase
//   formula    for each of those taps a matrix product: dx[m, ic] += A[m, oc] * w[kh,kw,ic,oc] with m = (n, pixel of
//              the phase) and A[m, oc] = dy[n, (h+pad-kh)/stride, (w+pad-kw)/stride, oc], zero outside
//   shapes     dy[N,OH,OW,OC]  w[KH,KW,IC,OC]  dx[N,H,W,IC]
//   mapping    grid (tiles of a phase's pixels, tiles of IC, phases), THREADS threads; a block computes BM x BN
//              elements of dx, a thread one
//   cost       conv2d_backward_input 4*(N*OH*OW*OC + KH*KW*IC*OC + N*H*W*IC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP in all
//              phases together, whole tiles; 4 FLOP for each byte that a block asks for
//   aliasing   none: dx may not overlap dy or w
//   lesson     memory has oc fastest in w, the product wants ic: neighbouring threads read neighbouring oc and write
//              them down a column of b_s. Its rows are BN + 2 apart: so the two columns that a warp writes lie in 32
//              different banks

#ifndef BM               // the host gives them (dcgan_cupy/ops/conv2d_steps.py)
#define BM 16            // rows of a block's tile
#define BN 16            // columns of a block's tile
#define BK 16            // depth of a step
#endif
#define COLUMN_THREADS BN                                // threads along the columns
#define THREADS (BM * COLUMN_THREADS)
static_assert(BM == BK && BN == BK, "a thread loads one number of each piece");

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
    int m = m0 + ty, ic = ic0 + tx;
    int col = first_w + m % PW * stride_w, h = first_h + m / PW % PH * stride_h, n = m / PW / PH;

    float sum = 0.0f;
    for (int kh = a_h; kh < KH; kh += stride_h) {
        int oh = (h + pad_h - kh) / stride_h;                        // exact; below 0 where the window began outside
        for (int kw = a_w; kw < KW; kw += stride_w) {
            int ow = (col + pad_w - kw) / stride_w;
            bool inside = m < M && oh >= 0 && oh < OH && ow >= 0 && ow < OW;
            const float* dy_pixel = dy + ((n * OH + oh) * OW + ow) * OC;                           // dy[n, oh, ow, 0]
            const float* w_row = w + ((kh * KW + kw) * IC + ic0 + ty) * OC;                        // w[kh, kw, row, 0]
            for (int oc0 = 0; oc0 < OC; oc0 += BK) {
                a_s[ty][tx] = inside && oc0 + tx < OC ? dy_pixel[oc0 + tx] : 0.0f;
                b_s[tx][ty] = ic0 + ty < IC && oc0 + tx < OC ? w_row[oc0 + tx] : 0.0f;
                __syncthreads();                                     // the pieces are there
                for (int oc = 0; oc < BK; oc++) sum += a_s[ty][oc] * b_s[oc][tx];
                __syncthreads();                                     // and read: the next may come
            }
        }
    }
    if (m < M && ic < IC) dx[((n * H + h) * W + col) * IC + ic] = bias ? sum + bias[ic] : sum;
}
