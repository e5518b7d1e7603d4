// 22  Only the taps that hit.
//
// The gather below is that of exercise 20. It asks every tap whether h + pad_h - kh is a multiple of the stride; with
// stride 2 in both directions, three of four are asked for nothing. But the answer is known before the loop: kh hits
// exactly where it leaves the same remainder as h + pad_h, which is the pixel's phase. So
//
//   kh = a, a + stride_h, a + 2 * stride_h, ...        a = (h + pad_h) % stride_h; and kw likewise
//
//   dx[n, h, w, ic] = sum over these kh, kw, and over oc, of dy[n, oh, ow, oc] * w[kh, kw, ic, oc]
//
//   dy: [N, OH, OW, OC], w: [KH, KW, IC, OC], dx: [N, H, W, IC]        a thread for each dx, ic fastest

extern "C" __global__
void conv2d_backward_input(const float* dy, const float* w, float* dx, int N, int H, int W, int IC, int OH, int OW,
                           int OC, int KH, int KW, int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N * H * W * IC) return;
    int ic = i % IC, col = i / IC % W, h = i / IC / W % H, n = i / IC / W / H;
    float sum = 0.0f;
    // >>> solution
    int a_h = (h + pad_h) % stride_h, a_w = (col + pad_w) % stride_w;                          // its phase: [0, stride)
    for (int kh = a_h; kh < KH; kh += stride_h) {
        int oh = (h + pad_h - kh) / stride_h;                        // exact; below 0 where the window began outside
        if (oh < 0 || oh >= OH) continue;
        for (int kw = a_w; kw < KW; kw += stride_w) {
            int ow = (col + pad_w - kw) / stride_w;
            if (ow < 0 || ow >= OW) continue;
            // === task
    for (int kh = 0; kh < KH; kh++) {                                // TODO: begin at the phase, step by the stride
        int up = h + pad_h - kh;
        if (up < 0 || up % stride_h != 0 || up / stride_h >= OH) continue;           // TODO: what need not be asked?
        for (int kw = 0; kw < KW; kw++) {
            int left = col + pad_w - kw;
            if (left < 0 || left % stride_w != 0 || left / stride_w >= OW) continue;
            int oh = up / stride_h, ow = left / stride_w;
            // <<<
            const float* dy_pixel = dy + ((n * OH + oh) * OW + ow) * OC;                           // dy[n, oh, ow, 0]
            const float* w_row = w + ((kh * KW + kw) * IC + ic) * OC;                              // w[kh, kw, ic, 0]
            for (int oc = 0; oc < OC; oc++) sum += dy_pixel[oc] * w_row[oc];
        }
    }
    dx[i] = sum;
}
