// 06  A transpose by way of shared memory.
//
//   y[c, r] = x[r, c]        x: [R, C], y: [C, R], both row after row
//
// The kernel below is right, and slow: a warp reads a piece of a row and writes a piece of a column, whose floats lie R
// apart. A block has shared memory, which all its threads read and write, and which knows no sectors. So let a block
// bring a tile of 32 x 32 numbers in, row by row, wait, and write it out turned, again row by row: both times the
// threads of a warp, whose threadIdx.x differ by 1, touch neighbouring floats.
//
// Blocks have 32 x 32 threads; block (bx, by) begins at column 32 * bx and row 32 * by of x. Why a row of the tile has
// 33 places is the next exercise.

extern "C" __global__
void transpose(const float* x, float* y, int R, int C) {
    // >>> solution
    __shared__ float tile[32][33];
    int r = blockIdx.y * 32 + threadIdx.y, c = blockIdx.x * 32 + threadIdx.x;        // of x
    if (r < R && c < C) tile[threadIdx.y][threadIdx.x] = x[r * C + c];
    __syncthreads();                                                 // the tile is there
    int to_r = blockIdx.x * 32 + threadIdx.y, to_c = blockIdx.y * 32 + threadIdx.x;  // of y
    if (to_r < C && to_c < R) y[to_r * R + to_c] = tile[threadIdx.x][threadIdx.y];
    // === task
    __shared__ float tile[32][33];                                   // TODO: bring the numbers here first
    int r = blockIdx.y * 32 + threadIdx.y, c = blockIdx.x * 32 + threadIdx.x;        // of x
    if (r < R && c < C) y[c * R + r] = x[r * C + c];
    // <<<
}
