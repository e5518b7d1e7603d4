// winograd_taps: the weights as the Winograd rung wants them, transformed once a launch, in memory.
//
//   formula    each phase (a, b) of the 4 x 4 taps has 2 x 2 of them; g -> (g0, g0 + g1, g1) along both axes: nine numbers
//   shapes     w[4,4,IC,OC]  u[9, 4*IC, OC] for forward (row (a, b, ic)), u[4, 9, OC, IC] for backward_input
//   mapping    grid (blocks of (ic, oc), 4 phases), a thread for each (or for NEIGHBOURS of them); neighbouring threads write neighbouring floats. What a
//              whole block shares, the phase and (transposed) oc, comes from blockIdx: no thread divides
//   cost       memory bound: 16 floats in, 36 out for each (ic, oc): 9/4 of the weights
//   aliasing   none
//   lesson     transform what is used often and is small once, in memory; what is large and used once, on its way through

#include "index.cuh"
#include "winograd.cuh"

// u[p, k, oc], k = (a, b, ic), of the taps w[a + 2*t, b + 2*s, ic, oc], t and s in [0, 2).
extern "C" __global__
void winograd_taps(const float* __restrict__ w, float* __restrict__ u, int IC, int OC) {
    int i = global_thread(), phase = blockIdx.y, a = phase / 2, b = phase % 2;           // i = (ic, oc)
    if (i >= IC * OC) return;
    float g[3][3][1];
#pragma unroll
    for (int t = 0; t < 2; t++)
#pragma unroll
        for (int s = 0; s < 2; s++) g[t][s][0] = w[((a + 2 * t) * 4 + b + 2 * s) * (IC * OC) + i];
    transform_taps<1>(g);
#pragma unroll
    for (int p = 0; p < 9; p++) u[(p * 4 + phase) * (IC * OC) + i] = g[p / 3][p % 3][0];
}

// u[a, b, p, oc, ic] of the taps w[a + 2*(1 - t), b + 2*(1 - s), ic, oc], t and s in [0, 2); NEIGHBOURS oc a thread, a divisor of OC:
// one on a GPU, where neighbouring threads write neighbouring ic; a vector of them on a CPU.
#ifndef NEIGHBOURS
#define NEIGHBOURS 1
#endif
extern "C" __global__
void winograd_taps_transposed(const float* __restrict__ w, float* __restrict__ u, int IC, int OC) {
    const int blocks = ceil_div(IC, blockDim.x), phase = blockIdx.y, a = phase / 2, b = phase % 2;
    const int oc = blockIdx.x / blocks * NEIGHBOURS, ic = blockIdx.x % blocks * blockDim.x + threadIdx.x;
    if (ic >= IC) return;
    float g[3][3][NEIGHBOURS];
#pragma unroll
    for (int t = 0; t < 2; t++)
#pragma unroll
        for (int s = 0; s < 2; s++) copy<1, NEIGHBOURS>(g[t][s], w + (((a + 2 - 2 * t) * 4 + b + 2 - 2 * s) * IC + ic) * OC + oc);
    transform_taps<NEIGHBOURS>(g);
#pragma unroll
    for (int p = 0; p < 9; p++)
#pragma unroll
        for (int v = 0; v < NEIGHBOURS; v++) u[(phase * 9 + p) * (IC * OC) + (oc + v) * IC + ic] = g[p / 3][p % 3][v];
}
