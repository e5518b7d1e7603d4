// transpose: y[c, r] = x[r, c] by a tile in shared memory; PITCH floats from row to row of it.
#ifndef PITCH
#define PITCH 32
#endif
extern "C" __global__ void transpose(const float* x, float* y, int n) {
    __shared__ float tile[32][PITCH];
    int c = blockIdx.x * 32 + threadIdx.x, r = blockIdx.y * 32 + threadIdx.y;
    if (r < n && c < n) tile[threadIdx.y][threadIdx.x] = x[r * n + c];
    __syncthreads();                                         // the tile is there
    int to_c = blockIdx.y * 32 + threadIdx.x, to_r = blockIdx.x * 32 + threadIdx.y;
    if (to_r < n && to_c < n) y[to_r * n + to_c] = tile[threadIdx.x][threadIdx.y];
}
