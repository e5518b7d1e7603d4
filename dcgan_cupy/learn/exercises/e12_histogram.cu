// 12  Counting without a queue.
//
// atomicAdd(&a, 1) adds as one indivisible step: no other thread comes between its read and its write. So any number of
// threads can count into one place. But they queue for it, and a place in global memory is far away. A block can count
// in its own shared memory first, where the queue is short, and add its BINS totals to the global ones at the end.
//
//   counts[b] += how many x[i] are b        x: n ints in [0, BINS); counts: BINS ints, to which is added
//
// The kernel below is right, and slow.

#define BINS 16

extern "C" __global__
void histogram(const int* x, int* counts, int n) {
    int first = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    // >>> solution
    __shared__ int part[BINS];
    if (threadIdx.x < BINS) part[threadIdx.x] = 0;
    __syncthreads();                                                 // zeros, before anybody counts
    for (int i = first; i < n; i += threads) atomicAdd(&part[x[i]], 1);
    __syncthreads();                                                 // all of the block have counted
    if (threadIdx.x < BINS) atomicAdd(&counts[threadIdx.x], part[threadIdx.x]);
    // === task
    for (int i = first; i < n; i += threads) atomicAdd(&counts[x[i]], 1);            // TODO: first in shared memory
    // <<<
}
