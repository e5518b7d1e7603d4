// 09  A sum as a tree.
//
// 256 numbers can be added in 8 levels: 128 threads each add a pair, then 64 add what came out, then 32, ... Each level
// reads what other threads wrote in the one before, so a barrier stands between. And the order of the additions is
// always the same, so the bits of the result are too.
//
//   y[block] = x[block * 256] + ... + x[block * 256 + 255]        x: n floats, as if zeros stood behind them
//
// A block of 256 threads for each 256 numbers. In a level of half h let thread t < h add part[t + h] to part[t]: the
// threads that work are then whole warps as long as there are any, and their words lie in different banks.

#define BLOCK 256

extern "C" __global__
void sum_blocks(const float* x, float* y, int n) {
    __shared__ float part[BLOCK];
    int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    // >>> solution
    part[t] = i < n ? x[i] : 0.0f;
    __syncthreads();                                                 // all numbers are there
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        if (t < half) part[t] += part[t + half];
        __syncthreads();                                             // this level is done before the next reads it
    }
    // === task
    // TODO: fill part, then add it up, so that the sum stands in part[0]
    // <<<
    if (t == 0) y[blockIdx.x] = part[0];
}
