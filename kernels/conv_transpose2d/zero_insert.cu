// The textbook's transposed convolution: insert zeros, pad, and convolve with stride 1.
//
//   step 1   z = stride - 1 zeros between neighbours, p' = K - pad - 1 zeros around
//   step 2   insert the zeros: height (H - 1) * stride + 1
//   step 3   pad: p' rows above, p' + output_padding below   zero_insert does steps 2 and 3 at once
//   step 4   convolve with stride 1 and the kernel turned by 180 degrees           flip_kernel, then conv2d_forward
//            output height = (H - 1) * stride + 1 + 2p' + output_padding - K + 1 = stride * (H - 1) + K - 2*pad +
//            output_padding
//
//   shapes   x[N,H,W,C]   z[N,ZH,ZW,C]  ZH = (H-1)*stride_h + 1 + 2p'_h + output_padding_h
//            w[KH,KW,OC,IC] (a transposed convolution's weights)   flipped[KH,KW,IC,OC] (a convolution's)
//   note     p' is negative where pad > K - 1: then rows at the edge are cut instead of added; the same index line does
//            both
//   mapping  1-D grid, one thread per element of the result, channels fastest
//   cost     zero_insert 4*N*C*(H*W + ZH*ZW) bytes, 0 FLOP; flip_kernel 8*KH*KW*IC*OC bytes, 0 FLOP: memory bound. The
//            convolution behind it multiplies stride_h * stride_w - 1 zeros for each value: at stride 2, three quarters
//            of its work is for nothing
//   aliasing none
//   lesson   why frameworks do not do it this way, and that the direct form gives the same numbers

#include "index.cuh"

extern "C" __global__
void zero_insert(const float* x, float* z, int N, int H, int W, int C, int ZH, int ZW,
                 int stride_h, int stride_w, int pad_h, int pad_w) {          // pad_h, pad_w: p' of step 1
    int i = global_thread();
    if (i >= N * ZH * ZW * C) return;
    int c = i % C, zw = i / C % ZW, zh = i / C / ZW % ZH, n = i / C / ZW / ZH;

    int down = zh - pad_h, right = zw - pad_w;                                // place among the inserted zeros
    bool hit = down >= 0 && right >= 0 && down % stride_h == 0 && right % stride_w == 0
            && down / stride_h < H && right / stride_w < W;
    z[i] = hit ? x[((n * H + down / stride_h) * W + right / stride_w) * C + c] : 0.0f;
}

extern "C" __global__
void flip_kernel(const float* w, float* flipped, int KH, int KW, int IC, int OC) {
    int i = global_thread();
    if (i >= KH * KW * IC * OC) return;
    int oc = i % OC, ic = i / OC % IC, kw = i / OC / IC % KW, kh = i / OC / IC / KW;
    flipped[i] = w[(((KH - 1 - kh) * KW + KW - 1 - kw) * OC + oc) * IC + ic];   // w[KH-1-kh, KW-1-kw, oc, ic]
}
