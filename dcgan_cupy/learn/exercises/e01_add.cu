// 01  One thread, one element.
//
// A kernel is a function that thousands of threads run at once. Each knows its place: threadIdx.x in its block,
// blockIdx.x, its block's number, and blockDim.x, the threads of a block. So the thread's number in the grid is
// blockIdx.x * blockDim.x + threadIdx.x, and thread i works on element i.
//
//   z[i] = x[i] + y[i]        x, y, z: n floats; there are exactly n threads

extern "C" __global__
void add(const float* x, const float* y, float* z) {
    // >>> solution
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    z[i] = x[i] + y[i];
    // === task
    // TODO: this thread's number i, and one line that adds
    // <<<
}
