// 18  A strided convolution.
//
//   y[n, oh, ow, oc] = sum over kh, kw, ic of x[n, oh * stride_h - pad_h + kh, ow * stride_w - pad_w + kw, ic]
//                                           * w[kh, kw, ic, oc]
//
//   x: [N, H, W, IC], w: [KH, KW, IC, OC], y: [N, OH, OW, OC]; taps that fall outside of the picture count as zero
//
// A thread for each output, oc fastest: neighbouring threads share x, and read neighbouring weights.

extern "C" __global__
void conv2d_forward(const float* x, const float* w, float* y, int N, int H, int W, int IC, int OH, int OW, int OC,
                    int KH, int KW, int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N * OH * OW * OC) return;
    // >>> solution
    int oc = i % OC, ow = i / OC % OW, oh = i / OC / OW % OH, n = i / OC / OW / OH;

    float sum = 0.0f;
    for (int kh = 0; kh < KH; kh++) {
        int h = oh * stride_h - pad_h + kh;                          // [-pad_h, H + pad_h)
        if (h < 0 || h >= H) continue;
        for (int kw = 0; kw < KW; kw++) {
            int col = ow * stride_w - pad_w + kw;                    // [-pad_w, W + pad_w)
            if (col < 0 || col >= W) continue;
            for (int ic = 0; ic < IC; ic++)
                sum += x[((n * H + h) * W + col) * IC + ic] * w[((kh * KW + kw) * IC + ic) * OC + oc];
        }
    }
    y[i] = sum;
    // === task
    // TODO: oc, ow, oh and n of this thread's output, then the sum over the taps that lie inside
    // <<<
}
