// conv2d_backward_weight, rung 1: the gradient of a convolution's weights, added to what is there.
//
//   weight     dw[kh,kw,ic,oc] += sum over n, oh, ow of x[n, oh*stride-pad+kh, ow*stride-pad+kw, ic] * dy[n,oh,ow,oc]
//   shapes     x[N,H,W,IC]  dy[N,OH,OW,OC]  dw[KH,KW,IC,OC]
//   mapping    weight: 1-D grid, one thread per weight, oc fastest
//   cost       conv2d_backward_weight 4*(N*H*W*IC + N*OH*OW*OC + 2*KH*KW*IC*OC) bytes, 2*N*OH*OW*KH*KW*IC*OC FLOP: long
//              sums by few threads
//   aliasing   none
//   lesson     a sum over the batch that thousands of threads would like to share. Here one thread owns it (simple, and
//              always the same bits); rung 4 splits it over blocks and adds the parts in a fixed order

#include "index.cuh"

extern "C" __global__
void conv2d_backward_weight(const float* x, const float* dy, float* dw,
                            int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                            int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = global_thread();
    if (i >= KH * KW * IC * OC) return;
    int oc = i % OC, ic = i / OC % IC, kw = i / OC / IC % KW, kh = i / OC / IC / KW;

    float sum = 0.0f;
    for (int n = 0; n < N; n++) {
        float image = 0.0f;                                          // a sum of sums loses less than one long sum
        for (int oh = 0; oh < OH; oh++) {
            int h = oh * stride_h - pad_h + kh;
            if (h < 0 || h >= H) continue;
            for (int ow = 0; ow < OW; ow++) {
                int col = ow * stride_w - pad_w + kw;
                if (col < 0 || col >= W) continue;
                image += x[((n * H + h) * W + col) * IC + ic] * dy[((n * OH + oh) * OW + ow) * OC + oc];
            }
        }
        sum += image;
    }
    dw[i] += sum;
}
