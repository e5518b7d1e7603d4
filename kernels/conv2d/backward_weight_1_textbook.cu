// conv2d_backward_weight and conv2d_backward_bias, rung 1: the gradients of a convolution's parameters. Both add to what is there.
//
//   weight     dw[kh,kw,ic,oc] += sum over n, oh, ow of x[n, oh*stride-pad+kh, ow*stride-pad+kw, ic] * dy[n,oh,ow,oc]
//   bias       db[oc] += sum over n, oh, ow of dy[n,oh,ow,oc]
//   shapes     x[N,H,W,IC]  dy[N,OH,OW,OC]  dw[KH,KW,IC,OC]  db[OC]
//   mapping    weight: 1-D grid, one thread per weight, oc fastest. bias: a block per 32 channels, 32 x 8 threads
//   cost       weight: 2*N*OH*OW FLOP a weight, long sums by few threads. bias: memory bound, 4 bytes an element of dy
//   aliasing   none
//   lesson     a sum over the batch that thousands of threads would like to share. Here one thread owns it (simple, and always
//              the same bits); rung 2 splits it over blocks and adds the parts in a fixed order

#include "index.cuh"
#include "reduce.cuh"

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

extern "C" __global__
void conv2d_backward_bias(const float* dy, float* db, int rows, int C) {     // rows = N*OH*OW, C = OC
    int c = blockIdx.x * CHANNELS + threadIdx.x;
    float sum = 0.0f;
    if (c < C) for (int r = threadIdx.y; r < rows; r += ROW_THREADS) sum += dy[r * C + c];
    sum = sum_over_rows(sum);
    if (c < C && threadIdx.y == 0) db[c] += sum;
}
