// 21  Zeros between the pixels.
//
// The textbook makes a transposed convolution of an ordinary one: insert stride - 1 zeros between neighbouring pixels,
// put pad rows and columns of zeros around, and convolve with stride 1. These are the first two steps, at once:
//
//   z[n, pad_h + h * stride_h, pad_w + w * stride_w, c] = x[n, h, w, c]        all other z are 0
//
//   x: [N, H, W, C], z: [N, ZH, ZW, C]        a thread for each element of z, c fastest
//
// ZH may have more rows of zeros at the bottom than pad_h, and ZW more columns at the right. (Nobody trains this way:
// with stride 2, three quarters of the convolution's products are with zeros. The exercises beside this one do
// without.)

extern "C" __global__
void zero_insert(const float* x, float* z, int N, int H, int W, int C, int ZH, int ZW, int stride_h, int stride_w,
                 int pad_h, int pad_w) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N * ZH * ZW * C) return;
    int c = i % C, zw = i / C % ZW, zh = i / C / ZW % ZH, n = i / C / ZW / ZH;
    // >>> solution
    int down = zh - pad_h, right = zw - pad_w;                       // place among the inserted zeros
    bool hit = down >= 0 && right >= 0 && down % stride_h == 0 && right % stride_w == 0
            && down / stride_h < H && right / stride_w < W;
    z[i] = hit ? x[((n * H + down / stride_h) * W + right / stride_w) * C + c] : 0.0f;
    // === task
    // TODO: is there a pixel of x here, and which? If not, write the zero
    // <<<
}
