// conv2d_forward, rung 4: the convolution as a matrix product whose left matrix is never written down (implicit GEMM).
//
//   product    y[m, oc] = bias[oc] + sum over k of A[m, k] * w[k, oc]   m = (n, oh, ow), k = (kh, kw, ic), ic fastest
//              A[m, k] = x[n, oh*stride-pad+kh, ow*stride-pad+kw, ic], zero outside: KH*KW runs of IC floats a row
//   shapes     x[N,H,W,IC]  w[KH,KW,IC,OC] = [K, OC]  y[N,OH,OW,OC] = [M, OC]
//   mapping    grid (tiles of M, tiles of OC), THREADS threads; a block computes BM x BN outputs, a thread TM x TN
//   cost       conv2d_forward 4*(N*H*W*IC + KH*KW*IC*OC + N*OH*OW*OC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP. A is asked for
//              once for every BN columns, w once for every BM rows: 32 FLOP a byte for 128 x 128 where rung 1 has 0.25
//   aliasing   none: y may not overlap x or w
//   lesson     reuse: a float loaded once serves BN (or BM) products from shared memory, TN (or TM) from a register

#include "gemm_tile.cuh"

typedef Piece<LEFT, BM, BK, A_PITCH> PieceA;

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_forward(const float* x, const float* w, const float* bias, float* y,
                    int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                    int stride_h, int stride_w, int pad_h, int pad_w) {
    KNOWN;
    __shared__ __align__(16) float a_s[BUFFERS * BM * A_PITCH];
    __shared__ __align__(16) float b_s[BUFFERS * BK * BN];
    const int M = N * OH * OW, K = KH * KW * IC;
    const int m0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;

    PieceA a;
    Piece<RIGHT, BK, BN, BN> b;
    int top[PieceA::SHARE], left[PieceA::SHARE];  // upper left corner of the windows whose rows this thread loads
    const float* image[PieceA::SHARE];                               // null past the last row
#pragma unroll(PieceA::UNROLL)
    for (int i = 0; i < PieceA::SHARE; i++) {
        int m = m0 + PieceA::row(i), ow = m % OW, oh = m / OW % OH, n = m / OW / OH;
        image[i] = m < M ? x + n * (H * W * IC) : nullptr;
        top[i] = oh * stride_h - pad_h;
        left[i] = ow * stride_w - pad_w;
    }
    float acc[TM][TN] = {};

    auto load = [&](int k0) {
        a.load([&](int i, int, int column, int length) -> const float* {
            int k = k0 + column, in_row = k % (KW * IC), h = top[i] + k / (KW * IC);
            int first = left[i] + in_row / IC, last = left[i] + (in_row + length - 1) / IC;
            bool inside = image[i] && k < K && (unsigned)h < (unsigned)H && first >= 0 && last < W
                && in_row + length <= KW * IC;
            return inside ? image[i] + (h * W + left[i]) * IC + in_row : nullptr;
        });
        b.load([&](int, int row, int column, int length) -> const float* {
            return k0 + row < K && oc0 + column + length <= OC ? w + (k0 + row) * OC + oc0 + column : nullptr;
        });
    };
    auto store = [&](float* a_to, float* b_to) { a.store(a_to); b.store(b_to); };
    auto multiply = [&](const float* a_from, const float* b_from) { multiply_rows<4>(a_from, b_from, acc, ty, tx); };
    steps<BM * A_PITCH, BK * BN>(0, K, a_s, b_s, load, store, multiply);

#pragma unroll
    for (int i = 0; i < TM; i++) {
        int m = m0 + tile_row(ty, i);
        if (m < M) write_row(y + m * OC, acc[i], bias, oc0, OC, tx);
    }
}
