// Images between bytes and the range of tanh, and the batch picked from a data set that lies on the device.
//
//   to_float   y[n,h,w,c] = images[index[n], h, w', c] / 127.5 - 1       w' = W-1-w where flip[n], else w
//              index null: n itself; flip null: never
//   to_uint8   y = x * 127.5 + 127.5, rounded to the nearest (ties to even), held in 0 .. 255; NaN gives 0
//   mapping    1-D grid, one thread per element, channels fastest
//   cost       images_to_float 5*N*H*W*C bytes, 2*N*H*W*C FLOP; images_to_uint8 5*n bytes, 3*n FLOP: memory bound
//   aliasing   none
//   lesson     a gather costs nothing extra when each row it picks is long and contiguous

#include "index.cuh"

extern "C" __global__
void images_to_float(const unsigned char* images, const int* index, const unsigned char* flip, float* y, int N, int H,
    int W, int C) {
    int i = global_thread();
    if (i >= N * H * W * C) return;
    int c = i % C, col = i / C % W, h = i / C / W % H, n = i / C / W / H;
    long long image = index ? index[n] : n;                          // a data set may hold more than 2^31 bytes
    int from = flip && flip[n] ? W - 1 - col : col;
    y[i] = images[((image * H + h) * W + from) * C + c] / 127.5f - 1.0f;
}

extern "C" __global__
void images_to_uint8(const float* x, unsigned char* y, int n) {
    int i = global_thread();
    if (i >= n) return;
    float v = rintf(fmaf(x[i], 127.5f, 127.5f));
    y[i] = v > 0.0f ? (v < 255.0f ? (unsigned char)v : 255) : 0;     // NaN is not > 0
}
