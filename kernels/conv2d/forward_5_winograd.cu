// conv2d_forward, rung 5, for kernel 4, stride 2, padding 1: fewer multiplications, by Winograd's F(2 x 2, 2 x 2) on
// stride phases.
//
//   phases     y[oh] = sum over kh of x[2*oh - 1 + kh] * w[kh]. With kh = a + 2*t: pixels d_a[j] = x[2*j + a - 1] of
//              one parity meet the taps g_t = w[a + 2*t] of one parity: y[oh] = sum over a, t of d_a[oh + t] * g_t, a
//              stride-1 filter of 2 taps for each a
//   products   in two dimensions four phases (a, b), each of 2 x 2 taps: nine products (winograd.cuh). The phases only
//              lengthen the
//              sum: m[p][tile, oc] = sum over k of v[p][tile, k] * u[p][k, oc]
//              k = (a, b, ic), ic fastest; p in [0, 9)
//   shapes     x[N,H,W,IC]  u[OC/BN, 9, 4*IC, BN]: the taps transformed, by winograd_taps  y[N,OH,OW,OC], OH = H/2, OW
//              = W/2 rounded down
//   mapping    grid (tiles of BM Winograd tiles, tiles of OC); Winograd tiles are 2 x 2 pixels of y, TH*TW an image. A
//              block has 9 * TILE_THREADS threads: each works on one product, TM tiles x TN channels of it, as in rung
//              4
//   cost       conv2d_forward 4*(N*H*W*IC + 36*IC*OC + N*OH*OW*OC) bytes, 18*N*OH*OW*IC*OC FLOP where OH and OW are
//              even, 9/16 of rung 4's, and 12 additions for 9 floats of v. x is read 9/4 times for every BN channels of
//              y, u once for every BM tiles
//   aliasing   none
//   lesson     an identity beats a faster loop. Nothing of v or m is ever in memory: transformed on the way into shared
//              memory, and back on the way out

#include "winograd.cuh"

typedef TransformedPiece<3, BM, BK, A_PITCH, VEC_A> PieceA;

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_forward(const float* x, const float* u, const float* bias, float* y,
                    int N, int H, int W, int IC, int OH, int OW, int OC) {
    KNOWN;
    extern __shared__ __align__(16) float shared[];
    float* a_s = shared, * b_s = shared + BUFFERS * 9 * BM * A_PITCH;
    const int TH = (OH + 1) / 2, TW = (OW + 1) / 2, M = N * TH * TW, K = 4 * IC;
    const int m0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int product = threadIdx.x / TILE_THREADS, in_tile = threadIdx.x % TILE_THREADS;
    const int tx = in_tile % COLUMN_THREADS, ty = in_tile / COLUMN_THREADS;

    PieceA a;
    Taps taps = {u + blockIdx.y * (9 * K * BN), K, OC - oc0};
    int top[PieceA::SHARE], left[PieceA::SHARE];                     // first pixel of phase (0, 0) that a tile reads
    const float* image[PieceA::SHARE];                               // null past the last tile
#pragma unroll(PieceA::UNROLL)
    for (int i = 0; i < PieceA::SHARE; i++) {
        int m = m0 + PieceA::row(i), tw = m % TW, th = m / TW % TH, n = m / TW / TH;
        image[i] = m < M ? x + n * (H * W * IC) : nullptr;
        top[i] = 4 * th - 1;
        left[i] = 4 * tw - 1;
    }
    float acc[TM][TN] = {};

    auto load = [&](int k0) {
        a.load(H, W, IC, [&](int i, int, int column) -> Window {
            int k = k0 + column, phase = k / IC, ic = k % IC;
            return {k < K && image[i] ? image[i] + ic : nullptr, top[i] + phase / 2, left[i] + phase % 2, 2};
        });
        taps.load(k0);
    };
    auto store = [&](float* a_to, float* b_to) { a.store(a_to); taps.store(b_to); };
    auto multiply = [&](const float* a_from, const float* b_from) {
        multiply_rows<ROW_READ>(a_from + product * (BM * A_PITCH), taps.slab(product, b_from), acc, ty, tx);
    };
    steps<9 * BM * A_PITCH, 9 * BK * BN>(0, K, a_s, b_s, load, store, multiply);

    join_products<VEC_B, true>(shared, acc, product, ty, tx, [&](int row, int column, float (&m)[3][3][VEC_B]) {
        int t = m0 + row, tw = t % TW, th = t / TW % TH, n = t / TW / TH, oc = oc0 + column;
        if (t >= M || oc >= OC) return;                              // OC is a multiple of VEC_B
        __align__(16) float b[VEC_B] = {};
        if (bias) copy<VEC_B>(b, bias + oc);
#pragma unroll
        for (int r = 0; r < 2; r++)
#pragma unroll
            for (int c = 0; c < 2; c++) {
                int oh = 2 * th + r, ow = 2 * tw + c;
                if (oh >= OH || ow >= OW) continue;                  // odd sizes: the last tile hangs over
#pragma unroll
                for (int v = 0; v < VEC_B; v++) m[r][c][v] = Epilogue::forward(m[r][c][v] + b[v]);
                copy<VEC_B>(y + ((n * OH + oh) * OW + ow) * OC + oc, m[r][c]);
            }
    });
}
