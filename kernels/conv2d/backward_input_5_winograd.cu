// conv2d_backward_input, rung 5, for kernel 4, stride 2, padding 1: fewer multiplications, by Winograd's F(2 x 2, 2 x
// 2) on stride phases.
//
//   phases     the pixels h = 1 - a + 2*j of dx, a in {0, 1}, are reached by the taps kh = a + 2*t from oh = (h + 1 -
//              kh) / 2 = j + 1 - a - t: dx[1 - a + 2*j] = sum over t of dy[j - a + t'] * w[a + 2*(1 - t')], t' = 1 - t:
//              a stride-1 filter of 2 taps, backwards
//   products   four phases (a, b) of 2 x 2 taps, nine products each (winograd.cuh). Here the phases are independent
//              results: m[p][tile, ic] = sum over oc of v[p][tile, oc] * u[phase, p][oc, ic]
//   shapes     dy[N,OH,OW,OC]  u[4, IC/BN, 9, OC, BN]: the taps transformed, by winograd_taps_transposed  dx[N,H,W,IC]
//   mapping    grid (tiles of BM Winograd tiles, tiles of IC, 4 phases); Winograd tiles are 2 x 2 pixels of one phase
//              of dx
//   cost       conv2d_backward_input 4*(N*OH*OW*OC + 36*IC*OC + N*H*W*IC) bytes, 18*N*OH*OW*IC*OC FLOP where OH and OW
//              are even, 9/16 of rung 4's, and 12 additions for 9 floats of v. dy is read 9/4 times for each phase and
//              every BN channels of dx
//   aliasing   none
//   lesson     the transpose of rung 5's forward pass: what lengthened the sum there, the phases, widens the result
//              here

#include "winograd.cuh"

typedef TransformedPiece<3, BM, BK, A_PITCH, VEC_A> PieceA;

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_backward_input(const float* dy, const float* u, const float* bias, float* dx,
                           int N, int H, int W, int IC, int OH, int OW, int OC) {
    KNOWN;
    extern __shared__ __align__(16) float shared[];
    float* a_s = shared, * b_s = shared + BUFFERS * 9 * BM * A_PITCH;
    const int phase = blockIdx.z, a_h = phase / 2, a_w = phase % 2;
    // tiles of the larger phase, whose pixels are the even ones
    const int TH = (H + 3) / 4, TW = (W + 3) / 4, M = N * TH * TW;
    const int m0 = blockIdx.x * BM, ic0 = blockIdx.y * BN;
    const int product = threadIdx.x / TILE_THREADS, in_tile = threadIdx.x % TILE_THREADS;
    const int tx = in_tile % COLUMN_THREADS, ty = in_tile / COLUMN_THREADS;

    PieceA a;
    Taps taps = {u + (phase * gridDim.y + blockIdx.y) * (9 * OC * BN), OC, IC - ic0};
    int top[PieceA::SHARE], left[PieceA::SHARE];                     // first pixel of dy that a tile reads
    const float* image[PieceA::SHARE];                               // null past the last tile
#pragma unroll(PieceA::UNROLL)
    for (int i = 0; i < PieceA::SHARE; i++) {
        int m = m0 + PieceA::row(i), tw = m % TW, th = m / TW % TH, n = m / TW / TH;
        image[i] = m < M ? dy + n * (OH * OW * OC) : nullptr;
        top[i] = 2 * th - a_h;
        left[i] = 2 * tw - a_w;
    }
    float acc[TM][TN] = {};

    auto load = [&](int k0) {
        a.load(OH, OW, OC, [&](int i, int, int column) -> Window {
            int oc = k0 + column;
            return {oc < OC && image[i] ? image[i] + oc : nullptr, top[i], left[i], 1};
        });
        taps.load(k0);
    };
    auto store = [&](float* a_to, float* b_to) { a.store(a_to); taps.store(b_to); };
    auto multiply = [&](const float* a_from, const float* b_from) {
        multiply_rows<ROW_READ>(a_from + product * (BM * A_PITCH), taps.slab(product, b_from), acc, ty, tx);
    };
    steps<9 * BM * A_PITCH, 9 * BK * BN>(0, OC, a_s, b_s, load, store, multiply);

    join_products<VEC_B, true>(shared, acc, product, ty, tx, [&](int row, int column, float (&m)[3][3][VEC_B]) {
        int t = m0 + row, tw = t % TW, th = t / TW % TH, n = t / TW / TH, ic = ic0 + column;
        if (t >= M || ic >= IC) return;                              // IC is a multiple of VEC_B
        __align__(16) float b[VEC_B] = {};
        if (bias) copy<VEC_B>(b, bias + ic);
#pragma unroll
        for (int r = 0; r < 2; r++)
#pragma unroll
            for (int c = 0; c < 2; c++) {
                int h = 1 - a_h + 2 * (2 * th + r), w = 1 - a_w + 2 * (2 * tw + c);
                if (h >= H || w >= W) continue;                      // the last tile may hang over
#pragma unroll
                for (int v = 0; v < VEC_B; v++) m[r][c][v] = Epilogue::forward(m[r][c][v] + b[v]);
                copy<VEC_B>(dx + ((n * H + h) * W + w) * IC + ic, m[r][c]);
            }
    });
}
