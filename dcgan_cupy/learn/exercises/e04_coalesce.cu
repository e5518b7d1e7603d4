// 04  Which index runs fastest.
//
// The 32 threads of a warp read memory together, in sectors of 32 bytes: eight neighbouring floats. When neighbouring
// threads touch neighbouring floats, a warp's request takes 4 sectors, all of them used. When they touch floats that
// lie far apart, it takes 32, and seven eighths of what is fetched are thrown away.
//
//   y[r, c] = x[r, c] * scale[c]        x, y: [rows, C], row after row: x[r, c] is x[r * C + c].   scale: [C]
//
// There is a thread for each element. The kernel below is right, and slow.

extern "C" __global__
void scale_channels(const float* x, const float* scale, float* y, int rows, int C) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows * C) return;
    // >>> solution
    int c = i % C, r = i / C;                                        // [0, C), [0, rows)
    // === task
    int r = i % rows, c = i / rows;                                  // TODO: which of the two should run fastest?
    // <<<
    y[r * C + c] = x[r * C + c] * scale[c];
}
