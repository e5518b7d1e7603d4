// conv2d_backward_input, rung 1 without skipped taps: a thread looks only at the taps that can reach its pixel.
//
//   phases     dx[h] takes part with tap kh where h + pad - kh is a multiple of the stride. So kh leaves the same
//              remainder as h + pad: kh = a, a + stride, a + 2*stride, ... with a = (h + pad) mod stride, its phase
//   formula    dx[n,h,w,ic] = bias[ic] + sum over those kh and kw, and oc, of dy[n, (h+pad-kh)/stride,
//              (w+pad-kw)/stride, oc] * w[kh,kw,ic,oc] where both land inside dy; both divisions are exact
//   shapes     dy[N,OH,OW,OC]  w[KH,KW,IC,OC]  dx[N,H,W,IC]
//   mapping    1-D grid, one thread per element of dx, ic fastest
//   cost       conv2d_backward_input 4*(N*OH*OW*OC + KH*KW*IC*OC + N*H*W*IC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP without
//              padding; no tap is tested for nothing, where the gather tests stride_h*stride_w for each that it takes
//   aliasing   none: dx may not overlap dy or w
//   lesson     a division in the inner loop becomes a start and a step of the loop. With few channels the threads of a
//              warp have different phases, and their loops different taps; the next rung gives each phase its blocks

#include "index.cuh"

extern "C" __global__
void conv2d_backward_input(const float* dy, const float* w, const float* bias, float* dx,
                           int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                           int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = global_thread();
    if (i >= N * H * W * IC) return;
    int ic = i % IC, col = i / IC % W, h = i / IC / W % H, n = i / IC / W / H;
    int a_h = (h + pad_h) % stride_h, a_w = (col + pad_w) % stride_w;                          // its phase: [0, stride)

    float sum = 0.0f;
    for (int kh = a_h; kh < KH; kh += stride_h) {
        int oh = (h + pad_h - kh) / stride_h;                        // exact; below 0 where the window began outside
        if (oh < 0 || oh >= OH) continue;
        for (int kw = a_w; kw < KW; kw += stride_w) {
            int ow = (col + pad_w - kw) / stride_w;
            if (ow < 0 || ow >= OW) continue;
            const float* dy_pixel = dy + ((n * OH + oh) * OW + ow) * OC;                           // dy[n, oh, ow, 0]
            const float* w_row = w + ((kh * KW + kw) * IC + ic) * OC;                              // w[kh, kw, ic, 0]
            for (int oc = 0; oc < OC; oc++) sum += dy_pixel[oc] * w_row[oc];
        }
    }
    dx[i] = bias ? sum + bias[ic] : sum;
}
