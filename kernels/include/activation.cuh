// The activations, each written once: y = forward(x), and dx = backward(y, dy), from the output alone. Run by
// activations.cu, and behind a convolution or a batch norm, where ACTIVATION names the one that results pass.
#pragma once

#ifndef ACTIVATION
#define ACTIVATION identity      // identity, relu, leaky_relu, tanh or sigmoid
#define SLOPE 0.2f               // of leaky_relu, above 0
#endif

namespace activations {
struct identity {
    static __device__ __forceinline__ float forward(float x) { return x; }
    static __device__ __forceinline__ float backward(float, float dy) { return dy; }
};
struct relu {
    static __device__ __forceinline__ float forward(float x) { return x < 0.0f ? 0.0f : x; }  // NaN stays, -inf is 0
    static __device__ __forceinline__ float backward(float y, float dy) { return y > 0.0f ? dy : 0.0f; }
};
struct leaky_relu {                                                  // slope > 0: then y > 0 exactly where x > 0
    static __device__ __forceinline__ float forward(float x, float slope = SLOPE) { return x > 0.0f ? x : slope * x; }
    static __device__ __forceinline__ float backward(float y, float d, float s = SLOPE) { return y > 0.0f ? d : s * d; }
};
struct tanh {
    static __device__ __forceinline__ float forward(float x) { return tanhf(x); }
    static __device__ __forceinline__ float backward(float y, float dy) { return dy * (1.0f - y * y); }
};
struct sigmoid {  // exp overflows to infinity for x < -88: then y is 0, as it should be
    static __device__ __forceinline__ float forward(float x) { return 1.0f / (1.0f + expf(-x)); }
    static __device__ __forceinline__ float backward(float y, float dy) { return dy * y * (1.0f - y); }
};
}
typedef activations::ACTIVATION Epilogue;
