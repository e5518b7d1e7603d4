// 11  A running sum.
//
// An exclusive scan gives each element the sum of all before it: y[0] = 0, y[1] = x[0], y[2] = x[0] + x[1], ... It
// looks like work for one thread. But the sums can be made in levels, as in a tree. s[t] is first x[t] alone; in the
// level of distance d each adds what stands d to the left:
//
//   s[t] <- s[t - d] + s[t]        for t >= d; d = 1, 2, 4, ...
//
// After it s[t] is the sum of 2 d elements that end at t. So 256 elements need 8 levels.
//
//   y[i] = x[0] + ... + x[i - 1]        n ints each, n at most 256; one block of 256 threads

#define BLOCK 256

extern "C" __global__
void scan(const int* x, int* y, int n) {
    __shared__ int s[BLOCK];
    int t = threadIdx.x;
    s[t] = t < n ? x[t] : 0;
    __syncthreads();                                                 // all numbers are there
    // >>> solution
    for (int d = 1; d < BLOCK; d *= 2) {
        int left = t >= d ? s[t - d] : 0;
        __syncthreads();                                             // all have read the last level
        s[t] += left;
        __syncthreads();                                             // all have written this one
    }
    if (t < n) y[t] = t > 0 ? s[t - 1] : 0;
    // === task
    // TODO: the levels. Then y: what stands before this element, without the element itself
    // <<<
}
