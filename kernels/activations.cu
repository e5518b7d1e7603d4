// activations: ReLU, leaky ReLU, tanh and the logistic sigmoid, each with its gradient, element by element.
//
//   relu         y = max(x, 0)                dx = y > 0 ? dy : 0
//   leaky_relu   y = x > 0 ? x : slope * x   dx = y > 0 ? dy : slope * dy
//                needs slope > 0: then y > 0 exactly where x > 0
//   tanh         y = tanh(x)                  dx = dy * (1 - y^2)
//   sigmoid      y = 1 / (1 + exp(-x))        dx = dy * y * (1 - y)
//   mapping      1-D grid, one thread per element; i in [0, n), tail threads do nothing
//   cost         forward 8*n bytes: relu_forward 8*n bytes, 0 FLOP; leaky_relu_forward 8*n bytes, n FLOP; tanh_forward
//                8*n bytes, n FLOP; sigmoid_forward 8*n bytes, 3*n FLOP (a tanhf or an expf is counted as one, and
//                takes some 20); and back: relu_backward 12*n bytes, 0 FLOP; leaky_relu_backward 12*n bytes, n FLOP;
//                tanh_backward 12*n bytes, 3*n FLOP; sigmoid_backward 12*n bytes, 3*n FLOP. All memory bound
//   aliasing     y may be x and dx may be dy: a thread reads its own element before it writes it
//   lesson       the tail guard, and why neighbouring threads touch neighbouring floats: 32 lanes of a warp read 32
//                consecutive floats, four sectors of 32 bytes, and nothing else is fetched
//
// Every backward needs y only, not x: a network can forget each layer's input as soon as its output is there. The
// functions stand in activation.cuh, because convolutions and batch norm apply them too.

#include "activation.cuh"
#include "index.cuh"

extern "C" __global__
void relu_forward(const float* x, float* y, int n) {
    int i = global_thread();                         // [0, gridDim.x * blockDim.x)
    if (i >= n) return;                              // no barrier below, so leaving early is safe
    y[i] = activations::relu::forward(x[i]);
}

extern "C" __global__
void relu_backward(const float* y, const float* dy, float* dx, int n) {
    int i = global_thread();
    if (i >= n) return;
    dx[i] = activations::relu::backward(y[i], dy[i]);
}

extern "C" __global__
void leaky_relu_forward(const float* x, float* y, float slope, int n) {
    int i = global_thread();
    if (i >= n) return;
    y[i] = activations::leaky_relu::forward(x[i], slope);
}

extern "C" __global__
void leaky_relu_backward(const float* y, const float* dy, float* dx, float slope, int n) {
    int i = global_thread();
    if (i >= n) return;
    dx[i] = activations::leaky_relu::backward(y[i], dy[i], slope);
}

extern "C" __global__
void tanh_forward(const float* x, float* y, int n) {
    int i = global_thread();
    if (i >= n) return;
    y[i] = activations::tanh::forward(x[i]);
}

extern "C" __global__
void tanh_backward(const float* y, const float* dy, float* dx, int n) {
    int i = global_thread();
    if (i >= n) return;
    dx[i] = activations::tanh::backward(y[i], dy[i]);
}

extern "C" __global__
void sigmoid_forward(const float* x, float* y, int n) {
    int i = global_thread();
    if (i >= n) return;
    y[i] = activations::sigmoid::forward(x[i]);
}

extern "C" __global__
void sigmoid_backward(const float* y, const float* dy, float* dx, int n) {
    int i = global_thread();
    if (i >= n) return;
    dx[i] = activations::sigmoid::backward(y[i], dy[i]);
}
