// conv2d_backward_bias, rung 4: the sum over all pixels, split over blocks.
//
//   bias       parts[p, oc] = sum over the rows of part p of dy[row, oc]; sum_parts.cu adds the parts to db
//   shapes     dy[rows, C], rows = N*OH*OW, C = OC; parts[P, C]
//   mapping    a thread owns NEIGHBOURS channels. Grid (channel groups, P), LANES x ROWS threads, a row is read by
//              neighbouring lanes
//   cost       conv2d_backward_bias 4*C*(rows + rows/rows_per_part) bytes, 1.5*rows*C FLOP: memory bound
//   aliasing   none
//   lesson     rung 1 has one block for 32 channels: 16 channels keep one multiprocessor busy and 131 idle

#include "index.cuh"

#ifndef NEIGHBOURS
#define NEIGHBOURS 1     // neighbouring channels of a thread, a divisor of C
#endif
#ifndef LANES
#define LANES 32         // threads side by side in a row
#endif
#ifndef ROWS
#define ROWS 8           // rows of threads
#endif
#ifndef RUN
#define RUN 64           // rows that a thread adds up before it adds their sum to the others': short sums round less
#endif
#ifndef KNOWN
#define KNOWN (void)0    // sizes that the host promises, as assignments: C = 64
#endif

extern "C" __global__ __launch_bounds__(LANES * ROWS)
void conv2d_backward_bias(const float* dy, float* parts, int rows, int C, int rows_per_part) {
    KNOWN;
    __shared__ float s[ROWS][LANES * NEIGHBOURS];
    int c = (blockIdx.x * LANES + threadIdx.x) * NEIGHBOURS;
    int first = blockIdx.y * rows_per_part, last = min(rows, first + rows_per_part);
    if (c < C) {
        float sum[NEIGHBOURS] = {};
        for (int r = first + threadIdx.y; r < last;) {
            float run[NEIGHBOURS] = {};
            for (int stop = min(last, r + RUN * ROWS); r < stop; r += ROWS)
#pragma unroll
                for (int v = 0; v < NEIGHBOURS; v++) run[v] += dy[r * C + c + v];
#pragma unroll
            for (int v = 0; v < NEIGHBOURS; v++) sum[v] += run[v];
        }
#pragma unroll
        for (int v = 0; v < NEIGHBOURS; v++) s[threadIdx.y][threadIdx.x * NEIGHBOURS + v] = sum[v];
    }
    __syncthreads();                                                 // every row of threads has left its sums
    if (threadIdx.y != 0 || c >= C) return;
#pragma unroll
    for (int v = 0; v < NEIGHBOURS; v++) {
        float sum = 0.0f;
        for (int r = 0; r < ROWS; r++) sum += s[r][threadIdx.x * NEIGHBOURS + v];
        parts[blockIdx.y * C + c + v] = sum;
    }
}
