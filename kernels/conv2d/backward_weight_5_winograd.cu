// conv2d_backward_weight, rung 5, for kernel 4, stride 2, padding 1: fewer multiplications, by the transpose of
// Winograd's F(2 x 2, 2 x 2).
//
//   phases     dw[a + 2*t] = sum over oh of d_a[oh + t] * dy[oh], d_a[j] = x[2*j + a - 1]: pixels of one parity for
//              taps of one parity
//   products   over two neighbouring oh this is the identity of winograd.cuh with dy in the taps' place. In two
//              dimensions:
//              m[p][k, oc] = sum over tiles of v[p][tile, k] * e[p][tile, oc]   k = (a, b, ic), ic fastest; p in [0, 9)
//              and dw of the taps (t, s) of phase (a, b) comes from the nine sums at the very end
//   split      the sum over all tiles of the batch is split over blocks as in rung 4; sum_parts adds the parts in order
//   shapes     x[N,H,W,IC]  dy[N,OH,OW,OC]  parts[splits, 4, 4, IC, OC]  dw[4,4,IC,OC]
//   mapping    grid (tiles of 4*IC, tiles of OC, splits); a block computes BM x BN elements of each product, its
//              threads as in forward
//   cost       conv2d_backward_weight 4*(N*H*W*IC + N*OH*OW*OC + 16*IC*OC*N*OH*OW/4/split_size) bytes, 18*N*OH*OW*IC*OC
//              FLOP where OH and OW are even, 9/16 of rung 4's, and 12 additions for 9 floats of v, 5 for 9 of e
//   aliasing   none
//   lesson     a bilinear identity has three forms: exchange the result with one of its factors, and it computes that
//              factor's gradient

#include "winograd.cuh"
#include "gemm_columns.cuh"

typedef TransformedPiece<3, BK, BM, BM, VEC_A> PieceA;               // a_s as [BK][BM]: rows are tiles, the sum's index
typedef TransformedPiece<2, BK, BN, BN, VEC_B> PieceB;

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_backward_weight(const float* x, const float* dy, float* parts,
                            // split_size: a multiple of BK
                            int N, int H, int W, int IC, int OH, int OW, int OC, int split_size) {
    KNOWN;
    extern __shared__ __align__(16) float shared[];
    float* a_s = shared, * b_s = shared + BUFFERS * 9 * BK * BM;
    const int TH = (OH + 1) / 2, TW = (OW + 1) / 2, M = N * TH * TW, K = 4 * IC;
    const int k0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int first = blockIdx.z * split_size, last = min(M, first + split_size);
    const int product = threadIdx.x / TILE_THREADS, in_tile = threadIdx.x % TILE_THREADS;
    const int tx = in_tile % COLUMN_THREADS, ty = in_tile / COLUMN_THREADS;

    PieceA a;
    PieceB b;
    float acc[TM][TN] = {};

    auto load = [&](int m0) {
        a.load(H, W, IC, [&](int, int row, int column) -> Window {
            int m = m0 + row, tw = m % TW, th = m / TW % TH, n = m / TW / TH, k = k0 + column, phase = k / IC,
                ic = k % IC;
            return {m < last && k < K ? x + n * (H * W * IC) + ic : nullptr, 4 * th - 1 + phase / 2,
                4 * tw - 1 + phase % 2, 2};
        });
        b.load(OH, OW, OC, [&](int, int row, int column) -> Window {
            int m = m0 + row, tw = m % TW, th = m / TW % TH, n = m / TW / TH, oc = oc0 + column;
            return {m < last && oc < OC ? dy + n * (OH * OW * OC) + oc : nullptr, 2 * th, 2 * tw, 1};
        });
    };
    auto store = [&](float* a_to, float* b_to) { a.store(a_to); b.store(b_to); };
    auto multiply = [&](const float* a_from, const float* b_from) {
        multiply_columns(a_from + product * (BK * BM), b_from + product * (BK * BN), acc, ty, tx);
    };
    steps<9 * BK * BM, 9 * BK * BN>(first, last, a_s, b_s, load, store, multiply);

    join_products<VEC_B, false>(shared, acc, product, ty, tx, [&](int row, int column, float (&m)[3][3][VEC_B]) {
        int k = k0 + row, phase = k / IC, ic = k % IC, oc = oc0 + column;
        if (k >= K || oc >= OC) return;                              // OC is a multiple of VEC_B
#pragma unroll
        for (int t = 0; t < 2; t++)
#pragma unroll
            for (int s = 0; s < 2; s++) {
                int kh = phase / 2 + 2 * t, kw = phase % 2 + 2 * s;
                copy<VEC_B>(parts + (((blockIdx.z * 4 + kh) * 4 + kw) * IC + ic) * OC + oc, m[t][s]);
            }
    });
}
