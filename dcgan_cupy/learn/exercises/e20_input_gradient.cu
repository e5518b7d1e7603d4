// 20  A scatter turned into a gather.
//
// Forward, each x[n, h, w, ic] takes part in several outputs: in oh with tap kh where h = oh * stride_h - pad_h + kh.
// So backward each dy[n, oh, ow, oc] has something for several dx. Written that way many threads would add to one
// place. Asked the other way round nobody meets: which dy reach this dx? Those with
//
//   oh * stride_h = h + pad_h - kh        for some tap kh: a multiple of stride_h, and oh in [0, OH); the same for ow
//
//   dx[n, h, w, ic] = sum over these kh, kw, and over oc, of dy[n, oh, ow, oc] * w[kh, kw, ic, oc]
//
//   dy: [N, OH, OW, OC], w: [KH, KW, IC, OC], dx: [N, H, W, IC]        a thread for each dx, ic fastest
//
// The same kernel is the transposed convolution: dy is then the layer's input, and dx its output.

extern "C" __global__
void conv2d_backward_input(const float* dy, const float* w, float* dx, int N, int H, int W, int IC, int OH, int OW,
                           int OC, int KH, int KW, int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N * H * W * IC) return;
    int ic = i % IC, col = i / IC % W, h = i / IC / W % H, n = i / IC / W / H;
    float sum = 0.0f;
    // >>> solution
    for (int kh = 0; kh < KH; kh++) {
        int up = h + pad_h - kh;                                     // oh * stride_h, if there is such an oh
        if (up < 0 || up % stride_h != 0 || up / stride_h >= OH) continue;
        for (int kw = 0; kw < KW; kw++) {
            int left = col + pad_w - kw;
            if (left < 0 || left % stride_w != 0 || left / stride_w >= OW) continue;
            const float* dy_pixel = dy + ((n * OH + up / stride_h) * OW + left / stride_w) * OC;   // dy[n, oh, ow, 0]
            const float* w_row = w + ((kh * KW + kw) * IC + ic) * OC;                              // w[kh, kw, ic, 0]
            for (int oc = 0; oc < OC; oc++) sum += dy_pixel[oc] * w_row[oc];
        }
    }
    // === task
    // TODO: for each tap ask which oh and ow it comes from, and whether there are such
    // <<<
    dx[i] = sum;
}
