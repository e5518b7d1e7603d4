// conv2d_backward_weight, rung 4: a matrix product whose sum runs over every pixel of the batch, split over blocks
// (split-K).
//
//   product    dw[k, oc] += sum over m of A[m, k] * dy[m, oc]
//              m = (n, oh, ow), k = (kh, kw, ic), A as in conv2d_forward
//   split      the result is small (K x OC) and the sum long (M = N*OH*OW): too few tiles to fill a machine. So
//              `splits` blocks share a tile, each sums M / splits pixels into parts[split, k, oc], and sum_parts adds
//              the parts in order
//   shapes     x[N,H,W,IC]  dy[N,OH,OW,OC] = [M, OC]  parts[splits, K, OC]  dw[KH,KW,IC,OC] = [K, OC]
//   mapping    grid (tiles of K, tiles of OC, splits); a block computes BM x BN elements of one part. sum_parts: one
//              thread an element
//   cost       conv2d_backward_weight 4*(N*H*W*IC + N*OH*OW*OC + KH*KW*IC*OC*N*OH*OW/split_size) bytes,
//              2*N*OH*OW*KH*KW*IC*OC FLOP; the last summand of the bytes are the parts
//   aliasing   none
//   lesson     atomicAdd would need no parts, but the order of its additions changes from run to run, and so do the
//              last bits. Parts in memory and an ordered sum give the same bits always

#include "gemm_columns.cuh"

typedef Piece<LEFT, BK, BM, BM> PieceA;  // a_s as [BK][BM]: neighbouring ic lie side by side in x
typedef Piece<RIGHT, BK, BN, BN> PieceB;

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_backward_weight(const float* x, const float* dy, float* parts,
                            int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                            // split_size: a multiple of BK
                            int stride_h, int stride_w, int pad_h, int pad_w, int split_size) {
    KNOWN;
    __shared__ __align__(16) float a_s[BUFFERS * BK * BM];
    __shared__ __align__(16) float b_s[BUFFERS * BK * BN];
    const int M = N * OH * OW, K = KH * KW * IC;
    const int k0 = blockIdx.x * BM, oc0 = blockIdx.y * BN;
    const int first = blockIdx.z * split_size, last = min(M, first + split_size);
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;

    PieceA a;
    PieceB b;
    float acc[TM][TN] = {};

    auto load = [&](int m0) {
        a.load([&](int, int row, int column, int length) -> const float* {
            int m = m0 + row, ow = m % OW, oh = m / OW % OH, n = m / OW / OH;
            int k = k0 + column, in_row = k % (KW * IC), left = ow * stride_w - pad_w,
                h = oh * stride_h - pad_h + k / (KW * IC);
            int first_col = left + in_row / IC, last_col = left + (in_row + length - 1) / IC;
            bool inside = m < last && k < K && (unsigned)h < (unsigned)H && first_col >= 0 && last_col < W
                && in_row + length <= KW * IC;
            return inside ? x + ((n * H + h) * W + left) * IC + in_row : nullptr;
        });
        b.load([&](int, int row, int column, int length) -> const float* {
            return m0 + row < last && oc0 + column + length <= OC ? dy + (m0 + row) * OC + oc0 + column : nullptr;
        });
    };
    auto store = [&](float* a_to, float* b_to) { a.store(a_to); b.store(b_to); };
    auto multiply = [&](const float* a_from, const float* b_from) { multiply_columns(a_from, b_from, acc, ty, tx); };
    steps<BK * BM, BK * BN>(first, last, a_s, b_s, load, store, multiply);

#pragma unroll
    for (int i = 0; i < TM; i++) {
        int k = k0 + ty * TM + i;
        if (k < K) write_row(parts + (blockIdx.z * K + k) * OC, acc[i], nullptr, oc0, OC, tx);
    }
}
