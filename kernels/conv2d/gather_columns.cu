// gather_columns: the second half of backward_input for few input channels: adds up what falls on each pixel of dx.
//
//   formula    dx[n,h,w,ic] = bias[ic] + sum over the taps that reach it of columns[n, oh, ow, kh, kw, ic]
//              columns[m, (kh,kw,ic)] = dy[m, .] * w[kh,kw,ic,.] is one dense product over all pixels m of dy
//   shapes     columns[N,OH,OW,KH,KW,IC]  dx[N,H,W,IC]
//   mapping    1-D grid, one thread for GATHER channels of a pixel (a divisor of IC): the taps are worked out once for
//              all of them
//   cost       gather_columns 4*(N*OH*OW*KH*KW*IC + N*H*W*IC) bytes, N*OH*OW*KH*KW*IC FLOP without padding: memory
//              bound, each column is read once
//   aliasing   none
//   lesson     few channels (an image's 3) would leave most of a product's tile empty; turned round, the product is
//              dense and the scatter becomes a gather

#include "activation.cuh"
#include "index.cuh"

#ifndef KNOWN
#define KNOWN (void)0    // sizes that the host promises, as assignments
#endif
#ifndef GATHER
#define GATHER 1
#endif
extern "C" __global__
void gather_columns(const float* columns, const float* bias, float* dx,
                    int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                    int stride_h, int stride_w, int pad_h, int pad_w) {
    KNOWN;
    int i = global_thread();
    if (i >= N * H * W * (IC / GATHER)) return;
    int ic = i % (IC / GATHER) * GATHER, col = i / (IC / GATHER) % W, h = i / (IC / GATHER) / W % H,
        n = i / (IC / GATHER) / W / H;
    float sum[GATHER];
#pragma unroll
    for (int v = 0; v < GATHER; v++) sum[v] = bias ? bias[ic + v] : 0.0f;
    for (int kh = (h + pad_h) % stride_h; kh < KH; kh += stride_h) {
        int oh = (h + pad_h - kh) / stride_h;
        if (h + pad_h < kh || oh >= OH) continue;
        for (int kw = (col + pad_w) % stride_w; kw < KW; kw += stride_w) {
            int ow = (col + pad_w - kw) / stride_w;
            if (col + pad_w < kw || ow >= OW) continue;
            const float* tap = columns + ((((n * OH + oh) * OW + ow) * KH + kh) * KW + kw) * IC + ic;
#pragma unroll
            for (int v = 0; v < GATHER; v++) sum[v] += tap[v];
        }
    }
#pragma unroll
    for (int v = 0; v < GATHER; v++) dx[i * GATHER + v] = Epilogue::forward(sum[v]);
}
