// 03  More elements than threads.
//
// A launch need not have a thread for each element. A thread can take one element, step over all threads of the grid to
// the next, and so on to the end. The grid's size is then free, and in each step neighbouring threads still touch
// neighbouring elements.
//
//   y[i] = max(x[i], 0)        n floats each; n may be larger or smaller than the number of threads

extern "C" __global__
void relu(const float* x, float* y, int n) {
    int first = blockIdx.x * blockDim.x + threadIdx.x;               // this thread's first element
    // >>> solution
    int threads = gridDim.x * blockDim.x;                            // of the whole grid
    for (int i = first; i < n; i += threads) y[i] = fmaxf(x[i], 0.0f);
    // === task
    if (first < n) y[first] = fmaxf(x[first], 0.0f);                 // TODO: and its second, its third, ...
    // <<<
}
