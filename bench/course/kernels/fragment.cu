// mma: D[16, 8] = A[16, 8] B[8, 8] + C by one warp, each lane holding what it holds for mma.sync.m16n8k8 (tf32).
//
//   lane       group g = lane / 4 [0, 8), t = lane % 4 [0, 4)
//   A          a[0..3] = A[g, t]  A[g+8, t]  A[g, t+4]  A[g+8, t+4]
//   B          b[0..1] = B[t, g]  B[t+4, g]
//   C, D       c[0..3] = D[g, 2t]  D[g, 2t+1]  D[g+8, 2t]  D[g+8, 2t+1]
//   lesson     no lane has all that an element of D needs: what the instruction does in silicon is done here by shuffles
extern "C" __global__ void mma(const float* A, const float* B, float* D, int* lane_of_a, int* lane_of_b,
                               int* lane_of_d) {
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    float a[4] = {A[g * 8 + t], A[(g + 8) * 8 + t], A[g * 8 + t + 4], A[(g + 8) * 8 + t + 4]};
    float b[2] = {B[t * 8 + g], B[(t + 4) * 8 + g]};
    float c[4] = {};
    for (int k = 0; k < 8; k++) {
        int half = k / 4, in = k % 4;
        float low = __shfl_sync(0xffffffffu, a[2 * half], 4 * g + in);           // A[g, k]
        float high = __shfl_sync(0xffffffffu, a[2 * half + 1], 4 * g + in);      // A[g+8, k]
        for (int j = 0; j < 2; j++) {
            float right = __shfl_sync(0xffffffffu, b[half], 4 * (2 * t + j) + in);     // B[k, 2t+j]
            c[j] += low * right;
            c[2 + j] += high * right;
        }
    }
    for (int i = 0; i < 4; i++) {
        int row = g + 8 * (i / 2), column = 2 * t + i % 2;
        D[row * 8 + column] = c[i];
        lane_of_d[row * 8 + column] = lane;
        lane_of_a[(g + 8 * (i % 2)) * 8 + t + 4 * (i / 2)] = lane;
    }
    for (int i = 0; i < 2; i++) lane_of_b[(t + 4 * i) * 8 + g] = lane;
}
