// conv2d_backward_bias, rung 1: the gradient of a convolution's bias, added to what is there.
//
//   formula    db[oc] += sum over n, oh, ow of dy[n,oh,ow,oc]
//   shapes     dy[rows, C], rows = N*OH*OW, C = OC; db[C]
//   mapping    a block of CHANNELS x ROW_THREADS threads for CHANNELS channels: a warp reads neighbouring channels of a
//              row
//   cost       conv2d_backward_bias 4*rows*C bytes, 5*rows*C FLOP (LongSum): memory bound
//   aliasing   none
//   lesson     a sum by channel: each thread takes every ROW_THREADS-th row, then the block adds its threads' sums in a
//              fixed order

#include "index.cuh"
#include "reduce.cuh"

extern "C" __global__
void conv2d_backward_bias(const float* dy, float* db, int rows, int C) {     // rows = N*OH*OW, C = OC
    int c = blockIdx.x * CHANNELS + threadIdx.x;
    LongSum dys;
    if (c < C) for (int r = threadIdx.y; r < rows; r += ROW_THREADS) dys.add(dy[r * C + c]);
    float sum = sum_over_rows(dys.sum);
    if (c < C && threadIdx.y == 0) db[c] += sum;
}
