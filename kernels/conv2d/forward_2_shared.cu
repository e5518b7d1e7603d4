// conv2d_forward, rung 2: a block loads each number once for all its threads.
//
//   formula    as in rung 1. For each tap (kh, kw) it is a matrix product: y[m, oc] += A[m, ic] * w[kh,kw,ic,oc] with
//              m = (n, oh, ow) and A[m, ic] = x[n, oh*stride-pad+kh, ow*stride-pad+kw, ic], zero outside the image
//   shapes     x[N,H,W,IC]  w[KH,KW,IC,OC]  y[N,OH,OW,OC] = [M, OC]
//   mapping    grid (tiles of M, tiles of OC), THREADS threads; a block computes BM x BN outputs, a thread one.
//              In each step of BK channels a thread loads one number of x and one of w
//   cost       conv2d_forward 4*(N*H*W*IC + KH*KW*IC*OC + N*OH*OW*OC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP. A block asks
//              for 4*BK*(BM + BN) bytes a step and does 2*BM*BN*BK FLOP with them: 4 FLOP a byte where rung 1
//              has 0.25. With 3 channels a step is mostly zeros
//   aliasing   none: y may not overlap x or w
//   lesson     shared memory is a cache that you fill by hand. Two barriers a step: nobody reads before all have
//              written, nobody writes the next piece before all have read

#ifndef BM               // the host gives them (dcgan_cupy/ops/conv2d_steps.py)
#define BM 16            // rows of a block's tile
#define BN 16            // columns of a block's tile
#define BK 16            // depth of a step
#endif
#define COLUMN_THREADS BN                                // threads along the columns
#define THREADS (BM * COLUMN_THREADS)
static_assert(BM == BK && BN == BK, "a thread loads one number of each piece");

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_forward(const float* x, const float* w, const float* bias, float* y,
                    int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                    int stride_h, int stride_w, int pad_h, int pad_w) {
    __shared__ float a_s[BM][BK];                                    // A[m0 + row, ic0 + column]
    __shared__ float b_s[BK][BN];                                    // w[kh, kw, ic0 + row, oc0 + column]
    const int M = N * OH * OW;
    const int m0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;
    int m = m0 + ty, oc = oc0 + tx;
    int ow = m % OW, oh = m / OW % OH, n = m / OW / OH;

    float sum = 0.0f;
    for (int kh = 0; kh < KH; kh++) {
        int h = oh * stride_h - pad_h + kh;                          // [-pad_h, H + pad_h)
        for (int kw = 0; kw < KW; kw++) {
            int col = ow * stride_w - pad_w + kw;                    // [-pad_w, W + pad_w)
            bool inside = m < M && h >= 0 && h < H && col >= 0 && col < W;
            const float* x_pixel = x + ((n * H + h) * W + col) * IC;     // x[n, h, col, 0]
            const float* w_tap = w + (kh * KW + kw) * IC * OC + oc;      // w[kh, kw, 0, oc]
            for (int ic0 = 0; ic0 < IC; ic0 += BK) {
                a_s[ty][tx] = inside && ic0 + tx < IC ? x_pixel[ic0 + tx] : 0.0f;
                b_s[ty][tx] = ic0 + ty < IC && oc < OC ? w_tap[(ic0 + ty) * OC] : 0.0f;
                __syncthreads();                                     // the pieces are there
                for (int ic = 0; ic < BK; ic++) sum += a_s[ty][ic] * b_s[ic][tx];
                __syncthreads();                                     // and read: the next may come
            }
        }
    }
    if (m < M && oc < OC) y[m * OC + oc] = bias ? sum + bias[oc] : sum;
}
