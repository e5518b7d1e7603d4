// pick: y[i] = x[i * stride], one channel of an image whose channels lie side by side.
extern "C" __global__ void pick(const float* x, float* y, int stride, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i * stride];
}
