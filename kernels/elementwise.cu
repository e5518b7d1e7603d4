// fill and add: the two operations that need no other file.
//
//   fill       x[i] = value
//   add        y[i] += x[i]
//   mapping    1-D grid, one thread per element
//   cost       fill 4*n bytes, 0 FLOP; add 12*n bytes, n FLOP: memory bound
//   aliasing   add: y may be x (it doubles)
//   lesson     the smallest kernels there are: measure these to learn what a launch itself costs

#include "index.cuh"

extern "C" __global__
void fill(float* x, float value, int n) {
    int i = global_thread();
    if (i < n) x[i] = value;
}

extern "C" __global__
void add(const float* x, float* y, int n) {
    int i = global_thread();
    if (i < n) y[i] += x[i];
}
