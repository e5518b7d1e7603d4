// 33  A rung of your own.
//
// The kernel below is the textbook's convolution: a thread computes one output, and for each tap and channel it reads a
// number of x and one of w. Its neighbour in the row reads the same w again. So let a thread compute four neighbours of
// a row, ow = 4 g, 4 g + 1, 4 g + 2, 4 g + 3, with four sums in registers: w is then read once for the four.
//
//   y[n, oh, ow, oc] = bias[oc] + sum over kh, kw, ic of w[kh, kw, ic, oc]
//                      * x[n, oh * stride_h - pad_h + kh, ow * stride_w - pad_w + kw, ic]; taps outside x count as zero
//
//   bias: [OC], or null: then nothing is added        a thread for each n, oh, group g of four, and oc; oc fastest
//
// A row may end inside a group: OW need not be a multiple of four. And at the left and right border a tap may lie
// outside for one of the four and inside for the next.
//
// Beside this file lies 33_my_rung.py, which launches your kernel in the whole network. learn check 33 compares that
// with the textbook's. Then train with it: python -m dcgan_cupy.train --kernels learn/33_my_rung.py

extern "C" __global__
void conv2d_forward(const float* x, const float* w, const float* bias, float* y, int N, int H, int W, int IC, int OH,
                    int OW, int OC, int KH, int KW, int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, groups = (OW + 3) / 4;
    if (i >= N * OH * groups * OC) return;
    int oc = i % OC, g = i / OC % groups, oh = i / OC / groups % OH, n = i / OC / groups / OH;
    // >>> solution
    float sum[4] = {};
    for (int kh = 0; kh < KH; kh++) {
        int h = oh * stride_h - pad_h + kh;
        if (h < 0 || h >= H) continue;
        for (int kw = 0; kw < KW; kw++)
            for (int ic = 0; ic < IC; ic++) {
                float tap = w[((kh * KW + kw) * IC + ic) * OC + oc];             // once for the four
                for (int k = 0; k < 4; k++) {
                    int col = (4 * g + k) * stride_w - pad_w + kw;
                    if (col >= 0 && col < W) sum[k] += x[((n * H + h) * W + col) * IC + ic] * tap;
                }
            }
    }
    for (int k = 0; k < 4; k++)
        if (4 * g + k < OW) y[((n * OH + oh) * OW + 4 * g + k) * OC + oc] = bias ? sum[k] + bias[oc] : sum[k];
    // === task
    for (int ow = 4 * g; ow < 4 * g + 4 && ow < OW; ow++) {                      // TODO: one loop over taps for all
        float sum = 0.0f;
        for (int kh = 0; kh < KH; kh++) {
            int h = oh * stride_h - pad_h + kh;
            if (h < 0 || h >= H) continue;
            for (int kw = 0; kw < KW; kw++) {
                int col = ow * stride_w - pad_w + kw;
                if (col < 0 || col >= W) continue;
                for (int ic = 0; ic < IC; ic++)
                    sum += x[((n * H + h) * W + col) * IC + ic] * w[((kh * KW + kw) * IC + ic) * OC + oc];
            }
        }
        y[((n * OH + oh) * OW + ow) * OC + oc] = sum;                            // TODO: and bias?
    }
    // <<<
}
