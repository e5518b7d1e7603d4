// conv2d_backward_weight, rung 2: a block loads each number once for all its threads.
//
//   formula    as in rung 1. For each image it is a matrix product: dw[k, oc] += A[p, k] * dy[n, p, oc] with
//              p = (oh, ow), k = (kh, kw, ic), and A[p, k] = x[n, oh*stride-pad+kh, ow*stride-pad+kw, ic], zero outside
//   shapes     x[N,H,W,IC]  dy[N,OH,OW,OC]  dw[KH,KW,IC,OC] = [K, OC]
//   mapping    grid (tiles of K, tiles of OC), THREADS threads; a block computes BM x BN weights, a thread one.
//              In each step of BK pixels a thread loads one number of x and one of dy
//   cost       conv2d_backward_weight 4*(N*H*W*IC + N*OH*OW*OC + 2*KH*KW*IC*OC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP;
//              4 FLOP for each byte that a block asks for
//   aliasing   none
//   lesson     the same tiles, another sum: it runs over every pixel of the batch, and the result is small. With 48 x
//              64 weights there are 12 blocks, whatever the batch: rung 4 splits the sum

#ifndef BM               // the host gives them (dcgan_cupy/ops/conv2d_steps.py)
#define BM 16            // rows of a block's tile
#define BN 16            // columns of a block's tile
#define BK 16            // depth of a step
#endif
#define COLUMN_THREADS BN                                // threads along the columns
#define THREADS (BM * COLUMN_THREADS)
static_assert(BM == BK && BN == BK, "a thread loads one number of each piece");

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_backward_weight(const float* x, const float* dy, float* dw,
                            int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                            int stride_h, int stride_w, int pad_h, int pad_w) {
    __shared__ float a_s[BK][BM];                                    // A[p0 + row, k0 + column]
    __shared__ float b_s[BK][BN];                                    // dy[n, p0 + row, oc0 + column]
    const int K = KH * KW * IC;
    const int k0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;
    int k = k0 + tx, oc = oc0 + tx;                                  // the columns that this thread loads
    int ic = k % IC, kw = k / IC % KW, kh = k / IC / KW;

    float sum = 0.0f;
    for (int n = 0; n < N; n++) {
        float image = 0.0f;                                          // a sum of sums loses less than one long sum
        for (int p0 = 0; p0 < OH * OW; p0 += BK) {
            int p = p0 + ty, ow = p % OW, oh = p / OW;
            int h = oh * stride_h - pad_h + kh;
            int col = ow * stride_w - pad_w + kw;
            bool inside = oh < OH && k < K && h >= 0 && h < H && col >= 0 && col < W;
            a_s[ty][tx] = inside ? x[((n * H + h) * W + col) * IC + ic] : 0.0f;
            b_s[ty][tx] = oh < OH && oc < OC ? dy[((n * OH + oh) * OW + ow) * OC + oc] : 0.0f;
            __syncthreads();                                         // the pieces are there
            for (int p = 0; p < BK; p++) image += a_s[p][ty] * b_s[p][tx];
            __syncthreads();                                         // and read: the next may come
        }
        sum += image;
    }
    if (k0 + ty < K && oc < OC) dw[(k0 + ty) * OC + oc] += sum;
}
