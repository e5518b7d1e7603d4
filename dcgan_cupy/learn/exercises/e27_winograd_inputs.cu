// 27  The same along both axes.
//
// In two dimensions Winograd's transform is applied along the rows, and to what comes out along the columns. For the
// inputs of 2 x 2 outputs with 2 x 2 taps, a patch d of 3 x 3 pixels, that is
//
//   (d0, d1, d2) -> (d0 - d1, d1, d1 - d2)        for each column of d (down the rows), then for each row of it
//
// Twelve subtractions in all; nine formulas, one for each result, would take sixteen.
//
//   v[p, tile, c]: result p = 3 * row + column of the patch that begins at pixel (2 * th, 2 * tw); tile = th * TW + tw
//
//   x: [H, W, C], H = 2 * TH + 1, W = 2 * TW + 1;   v: [9, TH * TW, C]
//   a thread for each tile and channel, c fastest

extern "C" __global__
void transform_inputs(const float* x, float* v, int TH, int TW, int C) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= TH * TW * C) return;
    int c = i % C, tw = i / C % TW, th = i / C / TW, W = 2 * TW + 1;
    float d[3][3];
#pragma unroll
    for (int row = 0; row < 3; row++)
#pragma unroll
        for (int column = 0; column < 3; column++)
            d[row][column] = x[((2 * th + row) * W + 2 * tw + column) * C + c];
    // >>> solution
#pragma unroll
    for (int column = 0; column < 3; column++) {                     // down the rows
        d[0][column] -= d[1][column];
        d[2][column] = d[1][column] - d[2][column];
    }
#pragma unroll
    for (int row = 0; row < 3; row++) {                              // and along each of the three that came out
        d[row][0] -= d[row][1];
        d[row][2] = d[row][1] - d[row][2];
    }
    // === task
    // TODO: transform d along both axes, in place
    // <<<
#pragma unroll
    for (int p = 0; p < 9; p++) v[p * TH * TW * C + i] = d[p / 3][p % 3];
}
