// transpose_weight: the weights with two axes exchanged, once a launch.
//
//   formula    wt[t, c, r] = w[t, r, c]      t in [0, TAPS), r in [0, R), c in [0, C)
//   shapes     w[TAPS, R, C]  wt[TAPS, C, R]
//   mapping    grid (blocks of R for each group of c, TAPS); a thread takes NEIGHBOURS elements, a divisor of C. c
//              comes from blockIdx: no thread divides
//   cost       transpose_weight 8*taps*R*C bytes, 0 FLOP: memory bound. The writes are coalesced, the reads hit the
//              cache
//   aliasing   none
//   lesson     a layout that suits one product is wrong for the next; one exchange of a small matrix is cheaper than
//              uncoalesced loads of it by every block

#include "copy.cuh"
#include "index.cuh"

#ifndef NEIGHBOURS
#define NEIGHBOURS 1
#endif
extern "C" __global__
void transpose_weight(const float* __restrict__ w, float* __restrict__ wt, int R, int C) {
    const int blocks = ceil_div(R, blockDim.x), t = blockIdx.y, c = blockIdx.x / blocks * NEIGHBOURS;
    const int r = blockIdx.x % blocks * blockDim.x + threadIdx.x;
    if (r >= R) return;
    float held[NEIGHBOURS];
    copy<1, NEIGHBOURS>(held, w + (t * R + r) * C + c);
#pragma unroll
    for (int v = 0; v < NEIGHBOURS; v++) wt[(t * C + c + v) * R + r] = held[v];
}
