// who: each thread writes down who it is, at the place that is its own.
extern "C" __global__ void who(int* block, int* thread) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    block[i] = blockIdx.x;
    thread[i] = threadIdx.x;
}
