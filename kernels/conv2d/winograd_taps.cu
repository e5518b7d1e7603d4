// winograd_taps: the weights as the Winograd rung wants them, transformed once a launch, in memory.
//
//   formula    each phase (a, b) of the 4 x 4 taps has 2 x 2 of them; g -> (g0, g0 + g1, g1) along both axes: nine
//              numbers
//   shapes     w[4,4,IC,OC]  u[OC/T, 9, 4*IC, T] for forward (row (a, b, ic)), u[4, IC/T, 9, OC, T] for backward_input,
//              T = TILE_WIDTH: cut into tiles of columns, so that what a block of theirs reads lies together. What a
//              last tile has beyond is never written
//   mapping    a block covers one row of a tile (for backward_input NEIGHBOURS rows): neighbouring threads write
//              neighbouring floats
//   cost       16 floats in, 36 out for each (ic, oc): winograd_taps 208*IC*OC bytes, 20*IC*OC FLOP;
//              winograd_taps_transposed 208*IC*OC bytes, 20*IC*OC FLOP: memory bound
//   aliasing   none
//   lesson     transform what is used often and is small once, in memory; what is large and used once, on its way
//              through

#include "index.cuh"
#include "winograd.cuh"

#ifndef TILE_WIDTH
#define TILE_WIDTH 64         // columns of a tile: BN of the kernel that reads u
#endif
#ifndef NEIGHBOURS
#define NEIGHBOURS 1
#endif

// u[tile, p, k, column], k = (a, b, ic), of the taps w[a + 2*t, b + 2*s, ic, oc], t and s in [0, 2), oc = tile *
// TILE_WIDTH + column; NEIGHBOURS columns a thread, a divisor of OC: one on a GPU, a vector of them on a CPU.   grid
// (k, tiles)
extern "C" __global__
void winograd_taps(const float* __restrict__ w, float* __restrict__ u, int IC, int OC) {
    // the block's: no thread divides
    const int k = blockIdx.x, phase = k / IC, a = phase / 2, b = phase % 2, ic = k % IC;
    const int column = threadIdx.x * NEIGHBOURS, oc = blockIdx.y * TILE_WIDTH + column;
    if (oc >= OC) return;
    float g[3][3][NEIGHBOURS];
#pragma unroll
    for (int t = 0; t < 2; t++)
#pragma unroll
        for (int s = 0; s < 2; s++) copy<1, NEIGHBOURS>(g[t][s],
            w + (((a + 2 * t) * 4 + b + 2 * s) * IC + ic) * OC + oc);
    transform_taps<NEIGHBOURS>(g);
#pragma unroll
    for (int p = 0; p < 9; p++) copy<1, NEIGHBOURS>(u + ((blockIdx.y * 9 + p) * (4 * IC) + k) * TILE_WIDTH + column,
        g[p / 3][p % 3]);
}

// u[a, b, tile, p, oc, column] of the taps w[a + 2*(1 - t), b + 2*(1 - s), ic, oc], t and s in [0, 2), ic = tile *
// TILE_WIDTH + column; NEIGHBOURS oc a thread: on a GPU one, since neighbouring threads write neighbouring ic.   grid
// (oc by NEIGHBOURS, tiles, 4 phases)
extern "C" __global__
void winograd_taps_transposed(const float* __restrict__ w, float* __restrict__ u, int IC, int OC) {
    const int phase = blockIdx.z, a = phase / 2, b = phase % 2;
    const int oc = blockIdx.x * NEIGHBOURS, ic = blockIdx.y * TILE_WIDTH + threadIdx.x;
    if (ic >= IC) return;
    float g[3][3][NEIGHBOURS];
#pragma unroll
    for (int t = 0; t < 2; t++)
#pragma unroll
        for (int s = 0; s < 2; s++) copy<1, NEIGHBOURS>(g[t][s],
            w + (((a + 2 - 2 * t) * 4 + b + 2 - 2 * s) * IC + ic) * OC + oc);
    transform_taps<NEIGHBOURS>(g);
#pragma unroll
    for (int p = 0; p < 9; p++)
#pragma unroll
        for (int v = 0; v < NEIGHBOURS; v++)
            u[(((phase * gridDim.y + blockIdx.y) * 9 + p) * OC + oc + v) * TILE_WIDTH + threadIdx.x] =
                g[p / 3][p % 3][v];
}
