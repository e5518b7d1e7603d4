// 28  A long sum, shared out.
//
// The gradient of a weight is a sum over all pixels of the batch:
//
//   dw[kh, kw, ic, oc] = sum over n, oh, ow of x[n, oh * stride_h - pad_h + kh, ow * stride_w - pad_w + kw, ic]
//                                            * dy[n, oh, ow, oc]
//
// There are few weights and many pixels: with a thread for each weight most of a GPU is idle, and each thread adds for
// long. So the images are shared out: blockIdx.y = s adds images s, s + S, s + 2 S, ... (S = gridDim.y) and writes its
// own part; another launch adds the S parts, in order. No atomics: the bits are the same in every run.
//
//   part[s, kh, kw, ic, oc]: that sum over the images of s alone
//
//   x: [N, H, W, IC], dy: [N, OH, OW, OC], part: [S, KH, KW, IC, OC]
//   a thread for each weight and part, oc fastest

extern "C" __global__
void weight_gradient_parts(const float* x, const float* dy, float* part, int N, int H, int W, int IC, int OH, int OW,
                           int OC, int KH, int KW, int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, weights = KH * KW * IC * OC;
    if (i >= weights) return;
    int oc = i % OC, ic = i / OC % IC, kw = i / OC / IC % KW, kh = i / OC / IC / KW;
    float sum = 0.0f;
    // >>> solution
    for (int n = blockIdx.y; n < N; n += gridDim.y)
        // === task
    for (int n = 0; n < N; n++)                                      // TODO: the images of this part only
        // <<<
        for (int oh = 0; oh < OH; oh++) {
            int h = oh * stride_h - pad_h + kh;
            if (h < 0 || h >= H) continue;
            for (int ow = 0; ow < OW; ow++) {
                int col = ow * stride_w - pad_w + kw;
                if (col < 0 || col >= W) continue;
                sum += x[((n * H + h) * W + col) * IC + ic] * dy[((n * OH + oh) * OW + ow) * OC + oc];
            }
        }
    // >>> solution
    part[blockIdx.y * weights + i] = sum;                            // part[s, kh, kw, ic, oc]
    // === task
    part[i] = sum;                                                   // TODO: the place of this part
    // <<<
}
