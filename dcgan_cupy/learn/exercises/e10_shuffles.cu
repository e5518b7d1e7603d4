// 10  Lanes read each other.
//
// The 32 lanes of a warp can read each other's registers, with no shared memory and no barrier:
// __shfl_down_sync(0xffffffff, v, d) gives a lane the v of the lane d above it. The first number is a mask, a bit for
// each lane that takes part. Five of them add 32 numbers: with d = 16, 8, 4, 2, 1; then lane 0 has the sum.
//
//   y[r] = x[r, 0] + ... + x[r, C - 1]        x: [R, C], y: [R]; C any number
//
// A warp for each row, several warps in a block. A lane first adds every 32nd number of the row.

extern "C" __global__
void sum_rows(const float* x, float* y, int R, int C) {
    int lane = threadIdx.x % 32;
    int r = (blockIdx.x * blockDim.x + threadIdx.x) / 32;            // the warp's row
    if (r >= R) return;                                              // the whole warp leaves: nobody waits for it
    float sum = 0.0f;
    for (int c = lane; c < C; c += 32) sum += x[r * C + c];
    // >>> solution
    for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);
    if (lane == 0) y[r] = sum;
    // === task
    // TODO: add the lanes' sums, and let one lane write the result
    // <<<
}
