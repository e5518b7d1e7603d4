// 15  A variance that survives a large mean.
//
//   mean[c] = average over r of x[r, c]        var[c] = average over r of (x[r, c] - mean[c])^2
//
// The textbook also has var = average(x^2) - mean^2, which needs x only once. In float32 that is a trap. Values near
// 4000 have squares near 16 million, where neighbouring floats are 1 or 2 apart: two such numbers, nearly equal, are
// subtracted, and a variance of 1 is less than what rounding left in them. Whatever is subtracted from x first, the
// variance is the same; so subtract something near the mean before you square.
//
//   x: [rows, C]; mean, var: [C]        a thread for each channel: neighbouring threads read neighbouring channels

extern "C" __global__
void statistics(const float* x, float* mean, float* var, int rows, int C) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    // >>> solution
    float sum = 0.0f;
    for (int r = 0; r < rows; r++) sum += x[r * C + c];
    float m = sum / rows, d1 = 0.0f, d2 = 0.0f;
    for (int r = 0; r < rows; r++) {
        float d = x[r * C + c] - m;                                  // small, and nearly exact
        d1 += d;
        d2 += d * d;
    }
    mean[c] = m + d1 / rows;                                         // with what rounding had left in m
    var[c] = d2 / rows - d1 / rows * (d1 / rows);
    // === task
    float sum = 0.0f, squares = 0.0f;
    for (int r = 0; r < rows; r++) {
        sum += x[r * C + c];
        squares += x[r * C + c] * x[r * C + c];                      // TODO: something must be subtracted first
    }
    mean[c] = sum / rows;
    var[c] = squares / rows - sum / rows * (sum / rows);
    // <<<
}
