// 19  A sum by channel.
//
// The bias is added to every pixel of a channel, so its gradient is the sum over all pixels:
//
//   db[c] += sum over r of dy[r, c]        dy: [rows, C], a row for each pixel; db: [C], to which is added
//
// Each block has CHANNELS x ROW_THREADS threads for CHANNELS channels. A warp is one row of the block (threadIdx.y),
// its lanes 32 neighbouring channels (threadIdx.x). Each thread adds every ROW_THREADS-th row; then the block adds what
// its threads have, in an order that never changes: on it depend a float sum's last bits.

#define CHANNELS 32
#define ROW_THREADS 4

extern "C" __global__
void bias_gradient(const float* dy, float* db, int rows, int C) {
    __shared__ float part[ROW_THREADS][CHANNELS];
    int c = blockIdx.x * CHANNELS + threadIdx.x;
    // >>> solution
    float sum = 0.0f;
    if (c < C) for (int r = threadIdx.y; r < rows; r += ROW_THREADS) sum += dy[r * C + c];
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();                                                 // all parts are written
    if (threadIdx.y == 0 && c < C) {
        for (int k = 1; k < ROW_THREADS; k++) sum += part[k][threadIdx.x];
        db[c] += sum;
    }
    // === task
    // TODO: this thread's rows, then the sum over threadIdx.y, then one thread of each channel adds to db
    // <<<
}
