// conv2d_forward, rung 1: the definition. One thread computes one output by the formula.
//
//   forward    y[n,oh,ow,oc] = bias[oc] + sum over kh, kw, ic of x[n, oh*stride-pad+kh, ow*stride-pad+kw, ic] *
//              w[kh,kw,ic,oc] (taps that fall outside the image count as zero; bias may be null)
//   shapes     x[N,H,W,IC]  w[KH,KW,IC,OC]  y[N,OH,OW,OC]    OH = (H + 2*pad_h - KH) / stride_h + 1, OW likewise
//   mapping    1-D grid, one thread per output, oc fastest: neighbouring threads share x and read neighbouring weights
//   cost       conv2d_forward 4*(N*H*W*IC + KH*KW*IC*OC + N*OH*OW*OC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP without
//              padding. But each output asks for its whole window and filter again: 8*KH*KW*IC bytes, 0.25 FLOP a byte
//              where rung 4 reaches tens. Caches hide some of it
//   aliasing   none: y may not overlap x or w
//   lesson     the index arithmetic of a convolution, with nothing in its way

#include "index.cuh"

extern "C" __global__
void conv2d_forward(const float* x, const float* w, const float* bias, float* y,
                    int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                    int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = global_thread();
    if (i >= N * OH * OW * OC) return;
    int oc = i % OC, ow = i / OC % OW, oh = i / OC / OW % OH, n = i / OC / OW / OH;

    float sum = 0.0f;
    for (int kh = 0; kh < KH; kh++) {
        int h = oh * stride_h - pad_h + kh;                          // [-pad_h, H + pad_h)
        if (h < 0 || h >= H) continue;
        for (int kw = 0; kw < KW; kw++) {
            int col = ow * stride_w - pad_w + kw;                    // [-pad_w, W + pad_w)
            if (col < 0 || col >= W) continue;
            const float* x_pixel = x + ((n * H + h) * W + col) * IC;     // x[n, h, col, 0]
            const float* w_tap = w + (kh * KW + kw) * IC * OC + oc;      // w[kh, kw, 0, oc]
            for (int ic = 0; ic < IC; ic++) sum += x_pixel[ic] * w_tap[ic * OC];
        }
    }
    y[i] = bias ? sum + bias[oc] : sum;
}
