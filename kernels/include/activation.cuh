// What becomes of a convolution's result v before it is written: the layer behind it, if that is an activation, or nothing.
#pragma once

#ifndef ACTIVATION
#define ACTIVATION(v) v          // the host may give another expression of v
#endif

__device__ __forceinline__ float activation(float v) {
    return ACTIVATION(v);
}
