// 14  A gradient that needs only the output.
//
// The generator's last layer is y = tanh(x). Backward comes dy, the loss's gradient by y, and wanted is dx, the one by
// x:
//
//   dx[i] = dy[i] * tanh'(x[i])        tanh'(x) = 1 - tanh(x)^2
//
// x is no longer there: a network forgets a layer's input as soon as its output is known. But tanh(x) is.
//
//   y, dy, dx: n floats each

extern "C" __global__
void tanh_backward(const float* y, const float* dy, float* dx, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    // >>> solution
    dx[i] = dy[i] * (1.0f - y[i] * y[i]);
    // === task
    // TODO: dx, from y and dy, with three operations
    // <<<
}
