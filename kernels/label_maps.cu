// label_maps: what a label's one-hot maps add to a convolution, or a transposed one, without maps: all but one of them
// are 0, and that one is 1 everywhere, so what it adds to a pixel is a sum of the weights that reach it.
//
//   forward    y[n,p,q,c] = Epilogue::forward(y[n,p,q,c] + sum over the taps kh, kw that reach p, q inside the input
//                                             of w[kh,kw,C+label[n],c])
//   backward   dw[kh,kw,C+k,c] += sum over n with label[n] = k, and p, q that the tap reaches, of dy[n,p,q,c]
//   taps       a convolution's tap k reaches pixel o from input o*stride-pad+k; a transposed one's (TRANSPOSED) from
//              (o+pad-k)/stride, where that is whole. Those of a pixel lie evenly spaced, and so do a tap's pixels
//   shapes     y, dy[N,OH,OW,O]; w[KH,KW,C+K,O], transposed [KH,KW,O,C+K]; the input is H x W pixels, K maps
//   mapping    forward: a thread for V neighbouring channels of a row of y, which sums the weights anew only where
//              other taps reach; backward: a thread for V elements of dw
//   cost       label_maps_forward 8*N*OH*OW*O + 4*KH*KW*K*O bytes, N*OH*O*(2*OW + KH*KW) FLOP (with a leaky ReLU;
//              more at borders); label_maps_backward 4*N*OH*OW*O + 8*KH*KW*K*O bytes, KH*KW*N*OH*O*(OW + 1) FLOP
//              (fewer at borders; a transposed convolution's stride_h*stride_w times fewer): memory bound, where a
//              convolution of K maps would be 2*N*OH*OW*KH*KW*K*O FLOP
//   aliasing   none
//   lesson     look at what an input is before multiplying it: ten maps beside 16 channels cost a convolution of 26,
//              an odd number that fits no tile; but their sum is known from the label and the border's nearness

#include "activation.cuh"
#include "index.cuh"

#ifndef V
#define V 1              // neighbouring channels of a thread, a divisor of O
#endif
#ifndef TRANSPOSED
#define TRANSPOSED 0     // 1: a transposed convolution
#endif

// first, first + step, … below last
struct Span {
    int first, last, step;
};

// The taps [0, KERNEL) that reach output o of an axis from inside its input, [0, IN).
__device__ __forceinline__ Span taps_of(int o, int IN, int KERNEL, int stride, int pad) {
    if (!TRANSPOSED) return {max(0, pad - o * stride), min(KERNEL, IN + pad - o * stride), 1};
    int from = o + pad;                                              // tap k reaches it from input (from - k) / stride
    return {max(from % stride, from - (IN - 1) * stride), min(KERNEL, from + 1), stride};
}

// The outputs [0, OUT) of an axis that tap k reaches from inside its input, [0, IN).
__device__ __forceinline__ Span outputs_of(int k, int IN, int OUT, int stride, int pad) {
    if (TRANSPOSED) {                                                // output i * stride - pad + k from input i
        int first = k >= pad ? k - pad : (stride - (pad - k) % stride) % stride;
        return {first, min(OUT, (IN - 1) * stride - pad + k + 1), stride};
    }
    int beyond = IN + pad - k;                                       // o * stride < beyond
    return {k >= pad ? 0 : ceil_div(pad - k, stride), min(OUT, beyond > 0 ? ceil_div(beyond, stride) : 0), 1};
}

// Where w[kh, kw, C + k, c] lies.
__device__ __forceinline__ int weight_of(int tap, int map, int c, int maps_end, int O) {
    return TRANSPOSED ? (tap * O + c) * maps_end + map : (tap * maps_end + map) * O + c;
}

extern "C" __global__
void label_maps_forward(const float* w, const int* label, float* y, int N, int H, int W, int C, int K, int OH, int OW,
                        int O, int KH, int KW, int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = global_thread();
    if (i >= N * OH * (O / V)) return;
    int c = i % (O / V) * V, p = i / (O / V) % OH, n = i / (O / V) / OH;
    int k = label[n];
    bool known = k >= 0 && k < K;                                    // a label outside has no map
    Span rows = taps_of(p, H, KH, stride_h, pad_h);
    for (int phase = 0; phase < (TRANSPOSED ? min(stride_w, OW) : 1); phase++) {     // pixels with the same taps
        Span before = {-1, -1, 0};
        float sum[V] = {};
        for (int q = phase; q < OW; q += TRANSPOSED ? stride_w : 1) {
            Span columns = taps_of(q, W, KW, stride_w, pad_w);
            if (known && (columns.first != before.first || columns.last != before.last)) {
#pragma unroll
                for (int v = 0; v < V; v++) sum[v] = 0.0f;
                for (int kh = rows.first; kh < rows.last; kh += rows.step)
                    for (int kw = columns.first; kw < columns.last; kw += columns.step)
#pragma unroll
                        for (int v = 0; v < V; v++) sum[v] += w[weight_of(kh * KW + kw, C + k, c + v, C + K, O)];
                before = columns;
            }
            float* pixel = y + ((n * OH + p) * OW + q) * O + c;      // y[n, p, q, c]
            float held[V];
#pragma unroll
            for (int v = 0; v < V; v++) held[v] = Epilogue::forward(pixel[v] + sum[v]);
#pragma unroll
            for (int v = 0; v < V; v++) pixel[v] = held[v];
        }
    }
}

extern "C" __global__
void label_maps_backward(const float* dy, const int* label, float* dw, int N, int H, int W, int C, int K, int OH,
                         int OW, int O, int KH, int KW, int stride_h, int stride_w, int pad_h, int pad_w) {
    int i = global_thread();
    if (i >= KH * KW * K * (O / V)) return;
    int c = i % (O / V) * V, tap = i / (O / V) % (KH * KW), k = i / (O / V) / (KH * KW);     // one label's side by side
    Span rows = outputs_of(tap / KW, H, OH, stride_h, pad_h), columns = outputs_of(tap % KW, W, OW, stride_w, pad_w);
    float sum[V] = {};                                               // of rows' sums: short ones round less
    for (int n = 0; n < N; n++) {
        if (label[n] != k) continue;
        for (int p = rows.first; p < rows.last; p += rows.step) {
            const float* row = dy + (n * OH + p) * OW * O + c;       // dy[n, p, 0, c]
            float part[V] = {};
            for (int q = columns.first; q < columns.last; q += columns.step)
#pragma unroll
                for (int v = 0; v < V; v++) part[v] += row[q * O + v];
#pragma unroll
            for (int v = 0; v < V; v++) sum[v] += part[v];
        }
    }
#pragma unroll
    for (int v = 0; v < V; v++) dw[weight_of(tap, C + k, c + v, C + K, O)] += sum[v];
}
