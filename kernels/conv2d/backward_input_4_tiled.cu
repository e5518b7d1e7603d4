// conv2d_backward_input, rung 4: stride phases. Each phase is an ordinary convolution with stride 1, and none
// multiplies a zero.
//
//   phases     a pixel h of dx is reached by the taps kh = a + stride*t only, a = (h + pad) mod stride: all pixels with
//              one remainder (a, b) share their taps. With q = (h + pad) / stride: dx[n,h,w,ic] = bias[ic] + sum over
//              t, u, oc of dy[n, q_h - t, q_w - u, oc] * w[a+stride*t, b+stride*u, ic, oc]
//   product    A[m, k], m = (n, pixel of the phase), k = (t, u, oc) with t and u running backwards: then a row of A is
//              runs of neighbouring floats of dy. B[k, ic] = wt[kh, kw, oc, ic]: the weights with their last two axes
//              exchanged, by transpose_weight, because here the sum runs over oc and neighbouring threads take
//              neighbouring ic
//   shapes     dy[N,OH,OW,OC]  wt[KH,KW,OC,IC]  dx[N,H,W,IC]
//   mapping    grid (tiles of a phase's pixels, tiles of IC, phases); a block computes BM x BN elements of dx
//   cost       conv2d_backward_input 4*(N*OH*OW*OC + KH*KW*IC*OC + N*H*W*IC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP in all
//              phases together, stride_h*stride_w times fewer than by inserted zeros
//   aliasing   none
//   lesson     four small convolutions instead of one with holes. And: a layout that suits one product is wrong for the
//              next; one exchange of a small matrix is cheaper than uncoalesced loads of it by every block

#include "gemm_tile.cuh"

typedef Piece<LEFT, BM, BK, A_PITCH> PieceA;
typedef Piece<RIGHT, BK, BN, BN> PieceB;

extern "C" __global__ __launch_bounds__(THREADS)
void conv2d_backward_input(const float* dy, const float* wt, const float* bias, float* dx,
                           int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                           int stride_h, int stride_w, int pad_h, int pad_w) {
    KNOWN;
    __shared__ __align__(16) float a_s[BUFFERS * BM * A_PITCH];
    __shared__ __align__(16) float b_s[BUFFERS * BK * BN];
    const int a_h = blockIdx.z / stride_w, a_w = blockIdx.z % stride_w;                        // the phase: [0, stride)
    // its taps; 0 where stride > kernel
    const int T = (KH - a_h + stride_h - 1) / stride_h, U = (KW - a_w + stride_w - 1) / stride_w;
    const int first_h = (a_h + stride_h - pad_h % stride_h) % stride_h;                        // its first pixel
    const int first_w = (a_w + stride_w - pad_w % stride_w) % stride_w;
    const int PH = (H - first_h + stride_h - 1) / stride_h, PW = (W - first_w + stride_w - 1) / stride_w;  // its pixels
    const int M = N * PH * PW, K = T > 0 && U > 0 ? T * U * OC : 0;
    const int m0 = blockIdx.x * BM, ic0 = blockIdx.y * BN;
    if (m0 >= M) return;  // the whole block: a phase smaller than the largest
    const int tx = threadIdx.x % COLUMN_THREADS, ty = threadIdx.x / COLUMN_THREADS;

    PieceA a;
    PieceB b;
    int top[PieceA::SHARE], left[PieceA::SHARE];                     // first pixel of dy that a row of A reads
    const float* image[PieceA::SHARE];
#pragma unroll(PieceA::UNROLL)
    for (int i = 0; i < PieceA::SHARE; i++) {
        int m = m0 + PieceA::row(i), j = m % PW, r = m / PW % PH, n = m / PW / PH;
        image[i] = m < M ? dy + n * (OH * OW * OC) : nullptr;
        top[i] = (first_h + r * stride_h + pad_h - a_h) / stride_h - (T - 1);
        left[i] = (first_w + j * stride_w + pad_w - a_w) / stride_w - (U - 1);
    }
    float acc[TM][TN] = {};

    auto load = [&](int k0) {
        a.load([&](int i, int, int column, int length) -> const float* {
            int k = k0 + column, in_row = k % (U * OC), oh = top[i] + k / (U * OC);
            int first = left[i] + in_row / OC, last = left[i] + (in_row + length - 1) / OC;
            bool inside = image[i] && k < K && (unsigned)oh < (unsigned)OH && first >= 0 && last < OW
                && in_row + length <= U * OC;
            return inside ? image[i] + (oh * OW + left[i]) * OC + in_row : nullptr;
        });
        b.load([&](int, int row, int column, int length) -> const float* {
            int k = k0 + row, oc = k % OC, u = k / OC % U, t = k / OC / U;
            int kh = a_h + stride_h * (T - 1 - t), kw = a_w + stride_w * (U - 1 - u);
            return k < K && ic0 + column + length <= IC ? wt + ((kh * KW + kw) * OC + oc) * IC + ic0 + column : nullptr;
        });
    };
    auto store = [&](float* a_to, float* b_to) { a.store(a_to); b.store(b_to); };
    auto multiply = [&](const float* a_from, const float* b_from) { multiply_rows<4>(a_from, b_from, acc, ty, tx); };
    steps<BM * A_PITCH, BK * BN>(0, K, a_s, b_s, load, store, multiply);

#pragma unroll
    for (int i = 0; i < TM; i++) {
        int m = m0 + tile_row(ty, i);
        if (m >= M) break;
        int j = m % PW, r = m / PW % PH, n = m / PW / PH;
        float* pixel = dx + ((n * H + first_h + r * stride_h) * W + first_w + j * stride_w) * IC;     // dx[n, h, w, 0]
        write_row(pixel, acc[i], bias, ic0, IC, tx);
    }
}
