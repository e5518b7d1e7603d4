// conv2d_backward_input, rung 1: the gradient of a convolution's input, which is also the transposed convolution
// itself.
//
//   formula    dx[n,h,w,ic] = bias[ic] + sum over kh, kw, oc of dy[n, (h+pad-kh)/stride, (w+pad-kw)/stride, oc] *
//              w[kh,kw,ic,oc] where both divisions are exact and land inside dy
//   shapes     dy[N,OH,OW,OC]  w[KH,KW,IC,OC]  dx[N,H,W,IC]
//   two names  as a gradient, bias is null. As conv_transpose2d forward, dy is the layer's input, dx its output, bias
//              its bias: each input value is scattered through the kernel onto the outputs it reaches; this thread
//              gathers what reaches it
//   mapping    1-D grid, one thread per element of dx, ic fastest
//   cost       conv2d_backward_input 4*(N*OH*OW*OC + KH*KW*IC*OC + N*H*W*IC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP without
//              padding; one tap in stride_h*stride_w is valid, the others are tested and skipped
//   aliasing   none: dx may not overlap dy or w
//   lesson     turn a scatter into a gather: no two threads write one address, so no atomics and one fixed order of
//              addition

#include "index.cuh"

extern "C" __global__
void conv2d_backward_input(const float* dy, const float* w, const float* bias, float* dx,
                           int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                           int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = global_thread();
    if (i >= N * H * W * IC) return;
    int ic = i % IC, col = i / IC % W, h = i / IC / W % H, n = i / IC / W / H;

    float sum = 0.0f;
    for (int kh = 0; kh < KH; kh++) {
        int up = h + pad_h - kh;                                     // oh * stride_h, if a window covers h with tap kh
        if (up < 0 || up % stride_h != 0 || up / stride_h >= OH) continue;
        for (int kw = 0; kw < KW; kw++) {
            int left = col + pad_w - kw;
            if (left < 0 || left % stride_w != 0 || left / stride_w >= OW) continue;
            const float* dy_pixel = dy + ((n * OH + up / stride_h) * OW + left / stride_w) * OC;   // dy[n, oh, ow, 0]
            const float* w_row = w + ((kh * KW + kw) * IC + ic) * OC;                              // w[kh, kw, ic, 0]
            for (int oc = 0; oc < OC; oc++) sum += dy_pixel[oc] * w_row[oc];
        }
    }
    dx[i] = bias ? sum + bias[ic] : sum;
}
