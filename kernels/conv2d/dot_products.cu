// dot_products: the convolution of a filter as large as the image, for very few outputs, such as the discriminator's
// last layer.
//
//   formula    y[n, oc] = bias[oc] + sum over k of x[n, k] * w[k, oc]      k = (kh, kw, ic), ic fastest
//   shapes     x[N, K]  w[K, OC]  y[N, OC]
//   mapping    a block of DOT_THREADS threads for each output; neighbouring threads read neighbouring k of x
//   cost       dot_products 4*(N*K + K*OC + N*OC) bytes, 2*N*K*OC FLOP: memory bound; w comes from the cache after its
//              first use
//   aliasing   none
//   lesson     when a matrix product has one column, a tile is empty but for that column: a dot product a block wastes
//              nothing

#include "activation.cuh"
#include "reduce.cuh"

#ifndef DOT_THREADS
#define DOT_THREADS 256
#endif

extern "C" __global__ __launch_bounds__(DOT_THREADS)
void dot_products(const float* x, const float* w, const float* bias, float* y, int K, int OC) {
    int n = blockIdx.x / OC, oc = blockIdx.x % OC;
    float sum = 0.0f;
    for (int k = threadIdx.x; k < K; k += DOT_THREADS) sum += x[n * K + k] * w[k * OC + oc];
    sum = sum_over_block<DOT_THREADS>(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = Epilogue::forward(bias ? sum + bias[oc] : sum);
}
