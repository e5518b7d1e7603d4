// conv2d_forward, a rung of one's own: the textbook's, but a thread computes four neighbouring output channels.
//
//   formula    y[n,oh,ow,oc] = bias[oc] + sum over kh, kw, ic of x[n, oh*stride-pad+kh, ow*stride-pad+kw, ic] *
//              w[kh,kw,ic,oc] (taps that fall outside the image count as zero; bias may be null)
//   mapping    1-D grid, one thread per four outputs: x[n, h, col, ic] is read once for the four

#include "index.cuh"

extern "C" __global__
void four_channels(const float* x, const float* w, const float* bias, float* y,
                   int N, int H, int W, int IC, int OH, int OW, int OC, int KH, int KW,
                   int stride_h, int stride_w, int pad_h, int pad_w) {
    int groups = ceil_div(OC, 4), i = global_thread();
    if (i >= N * OH * OW * groups) return;
    int oc0 = i % groups * 4, ow = i / groups % OW, oh = i / groups / OW % OH, n = i / groups / OW / OH;
    int channels = min(4, OC - oc0);

    float sum[4] = {};
    for (int kh = 0; kh < KH; kh++) {
        int h = oh * stride_h - pad_h + kh;
        if (h < 0 || h >= H) continue;
        for (int kw = 0; kw < KW; kw++) {
            int col = ow * stride_w - pad_w + kw;
            if (col < 0 || col >= W) continue;
            const float* x_pixel = x + ((n * H + h) * W + col) * IC;         // x[n, h, col, 0]
            const float* w_tap = w + (kh * KW + kw) * IC * OC + oc0;         // w[kh, kw, 0, oc0]
            for (int ic = 0; ic < IC; ic++)
                for (int c = 0; c < channels; c++) sum[c] += x_pixel[ic] * w_tap[ic * OC + c];
        }
    }
    for (int c = 0; c < channels; c++) {
        int oc = oc0 + c;
        y[((n * OH + oh) * OW + ow) * OC + oc] = bias ? sum[c] + bias[oc] : sum[c];
    }
}
