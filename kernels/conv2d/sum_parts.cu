// sum_parts: adds up what the blocks of a split sum left, in a fixed order.
//
//   formula    dw[i] += parts[0, i] + parts[1, i] + ..., in this order
//   shapes     parts[splits, n]  dw[n]
//   mapping    1-D grid, one thread an element of dw; i in [0, n)
//   cost       memory bound: 4*n*splits + 8*n bytes (parts once, dw read and written), n*splits FLOP
//   aliasing   none
//   lesson     the ordered sum that makes a split reduction give the same bits in every run, where atomicAdd would not

#include "index.cuh"

extern "C" __global__
void sum_parts(const float* parts, float* dw, int n, int splits) {
    int i = global_thread();
    if (i >= n) return;
    float sum = 0.0f;
    for (int s = 0; s < splits; s++) sum += parts[s * n + i];
    dw[i] += sum;
}
