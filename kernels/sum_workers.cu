// sum_workers: adds up what all workers have of one slice of an array, in the order of the workers.
//
//   formula    own[i] = slice_0[i] + slice_1[i] + ..., slice_w = parts[w], but for this worker's, which is own itself
//   shapes     parts [workers, n]  own [n]
//   mapping    1-D grid, one thread an element of own; i in [0, n)
//   cost       sum_workers 4*n*workers + 4*n bytes, n*workers FLOP (each slice once, own also written): memory bound
//   aliasing   none
//   lesson     with an order of its own an exchange of gradients gives the same bits in every run, on every worker

#include "index.cuh"

extern "C" __global__
void sum_workers(const float* parts, float* own, int n, int worker, int workers) {
    int i = global_thread();
    if (i >= n) return;
    float sum = 0.0f;
    for (int w = 0; w < workers; w++) sum += w == worker ? own[i] : parts[w * n + i];
    own[i] = sum;
}
