// sum_parts: adds up what the blocks of a split sum left, in a fixed order.
//
//   formula    dw[i] += parts[0, i] + parts[1, i] + ..., in this order, RUN parts at a time
//   shapes     parts[splits, n]  dw[n]
//   mapping    1-D grid, one thread an element of dw; i in [0, n)
//   cost       sum_parts 4*n*splits + 8*n bytes, n*(1.5*splits + 2) FLOP (parts once, dw read and written): memory
//              bound
//   aliasing   none
//   lesson     the ordered sum that makes a split reduction give the same bits in every run, where atomicAdd would not

#include "index.cuh"

#ifndef RUN
#define RUN 64           // parts that are added up before their sum is added to the others'
#endif

extern "C" __global__
void sum_parts(const float* parts, float* dw, int n, int splits) {
    int i = global_thread();
    if (i >= n) return;
    float sum = 0.0f, run = 0.0f;  // short sums first: rounding errors grow with their length
    for (int s = 0; s < splits; s++) {
        run += parts[s * n + i];
        if (s % RUN == RUN - 1) sum += run, run = 0.0f;
    }
    dw[i] += sum + run;
}
