// 08  Two barriers are missing.
//
// The threads of a block run in any order, and some may be far ahead of others. __syncthreads() is a barrier: nobody
// goes on before all are there. What one thread writes to shared memory, another may read only with a barrier between.
// And what one has yet to read, another may overwrite only with a barrier between.
//
// A ring of N numbers, in each step the sum of a number's two neighbours takes its place:
//
//   s[t] <- s[t - 1] + s[t + 1]        t in [0, N), around the end; steps times; y is what comes out
//
// One block of N threads. The formula below is right, but the result is chance.

#define N 64

extern "C" __global__
void add_neighbours(const float* x, float* y, int steps) {
    __shared__ float s[N];
    int t = threadIdx.x;
    s[t] = x[t];
    __syncthreads();                                                 // the ring is whole
    for (int step = 0; step < steps; step++) {
        // >>> solution
        float sum = s[(t + N - 1) % N] + s[(t + 1) % N];
        __syncthreads();                                             // all have read: the old numbers may go
        s[t] = sum;
        __syncthreads();                                             // all have written: the new ones may be read
        // === task
        s[t] = s[(t + N - 1) % N] + s[(t + 1) % N];                  // TODO: who may still be reading? who has written?
        // <<<
    }
    y[t] = s[t];
}
