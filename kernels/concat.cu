// concat: a label joined to an activation, as constant one-hot maps behind its channels, in a conditional network.
//
//   forward    y[n,h,w,c] = c < C ? x[n,h,w,c] : label[n] == c - C      c in [0, C + K); label outside [0, K): all 0
//   backward   dx[n,h,w,c] = dy[n,h,w,c]                                c in [0, C): the maps have no gradient
//   add        y[n,h,w,c] += x[n,h,w,c]                                 c in [0, C)
//   mapping    1-D grid, channels fastest: one thread per element of y; V neighbours of dx, or of x, a thread
//   cost       concat_label_forward 4*N*HW*(2*C + K) bytes, 0 FLOP; concat_label_backward 8*pixels*C bytes, 0 FLOP;
//              concat_label_add 12*pixels*C bytes, pixels*C FLOP: memory bound (the maps' channels are skipped, but lie
//              in the same sectors: for small C those are fetched too)
//   aliasing   none: pixels move, C floats apart on one side and C + K on the other
//   lesson     a one-hot array is never written down: a comparison makes its numbers where they are needed. And why a
//              concatenation is a copy: with channels innermost, what is joined must lie between the neighbours' pixels
//   source     the paper's MNIST code (Newmu/dcgan_code, conv_cond_concat); Mirza & Osindero 2014

#include "index.cuh"

#ifndef V
#define V 1              // neighbouring channels of a thread, a divisor of C
#endif

extern "C" __global__
void concat_label_forward(const float* x, const int* label, float* y, int N, int HW, int C, int K) {
    int i = global_thread();
    if (i >= N * HW * (C + K)) return;
    int c = i % (C + K), pixel = i / (C + K);                        // [0, C + K), [0, N * HW)
    y[i] = c < C ? x[pixel * C + c] : label[pixel / HW] == c - C ? 1.0f : 0.0f;
}

extern "C" __global__
void concat_label_backward(const float* dy, float* dx, int pixels, int C, int K) {
    int i = global_thread() * V;
    if (i >= pixels * C) return;
    const float* from = dy + i / C * (C + K) + i % C;                // dy[n, h, w, c]
    float held[V];
#pragma unroll
    for (int v = 0; v < V; v++) held[v] = from[v];
#pragma unroll
    for (int v = 0; v < V; v++) dx[i + v] = held[v];
}

extern "C" __global__
void concat_label_add(const float* x, float* y, int pixels, int C, int K) {
    int i = global_thread() * V;
    if (i >= pixels * C) return;
    float* to = y + i / C * (C + K) + i % C;                         // y[n, h, w, c]
    float held[V];
#pragma unroll
    for (int v = 0; v < V; v++) held[v] = to[v] + x[i + v];
#pragma unroll
    for (int v = 0; v < V; v++) to[v] = held[v];
}
