// 02  The tail.
//
// A grid is made of whole blocks, and n is seldom a multiple of a block. The last block has threads with nothing to do:
// they must not touch memory behind the arrays.
//
//   y[i] = a * x[i]        n floats each; there may be more than n threads

extern "C" __global__
void scale(const float* x, float* y, float a, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    // >>> solution
    if (i >= n) return;
    y[i] = a * x[i];
    // === task
    y[i] = a * x[i];  // TODO: not for every i
    // <<<
}
