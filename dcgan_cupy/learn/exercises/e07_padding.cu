// 07  Shared memory has 32 banks.
//
// Word k of shared memory lies in bank k % 32, and a bank serves one word at a time. A warp whose lanes want 32 words
// of 32 banks is served in one turn. If they want 32 different words of one bank, that takes 32 turns. (A word that
// several lanes want is served once.)
//
//   y[r] = x[r, 0] + ... + x[r, C - 1]        x: [R, C], y: [R]; C at most 32
//
// A block is one warp. It brings 32 rows in, coalesced; then each lane adds up one row. The kernel below is right; look
// at the banks in which the words tile[0][k], tile[1][k], ..., tile[31][k] lie, and change one number.

extern "C" __global__
void sum_rows(const float* x, float* y, int R, int C) {
    // >>> solution
    __shared__ float tile[32][33];                                   // rows 33 apart: a column lies in 32 banks
    // === task
    __shared__ float tile[32][32];                                   // TODO: one number here is wrong
    // <<<
    int lane = threadIdx.x, r0 = blockIdx.x * 32;                    // the block's rows: r0 .. r0 + 31
    for (int row = 0; row < 32; row++)
        tile[row][lane] = r0 + row < R && lane < C ? x[(r0 + row) * C + lane] : 0.0f;
    __syncthreads();                                                 // the tile is there
    float sum = 0.0f;
    for (int k = 0; k < 32; k++) sum += tile[lane][k];
    if (r0 + lane < R) y[r0 + lane] = sum;
}
