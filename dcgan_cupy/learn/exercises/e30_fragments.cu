// 30  Which lane holds what.
//
// A tensor core multiplies small matrices for a whole warp with one instruction: d = a b + c, here 16 x 8 times 8 x 8.
// No lane has a matrix. Each holds a few elements of it in registers, a fragment, and which ones is fixed. For
// mma.m16n8k8, with g = lane / 4 in [0, 8) and t = lane % 4 in [0, 4):
//
//   a (16 x 8)    a[0] = A[g, t]     a[1] = A[g + 8, t]     a[2] = A[g, t + 4]     a[3] = A[g + 8, t + 4]
//   b (8 x 8)     b[0] = B[t, g]     b[1] = B[t + 4, g]
//   c, d (16 x 8) c[0] = C[g, 2 t]   c[1] = C[g, 2 t + 1]   c[2] = C[g + 8, 2 t]   c[3] = C[g + 8, 2 t + 1]
//
// mma_16x8x8 below does with shuffles what the instruction does, from the same registers.
//
//   D[n] = A[n] B[n] + C[n]        A: [N, 16, 8], B: [N, 8, 8], C, D: [N, 16, 8], row after row; a warp for each n

// d = a b + c, by the lanes of a warp.
__device__ void mma_16x8x8(float (&d)[4], const float (&a)[4], const float (&b)[2], const float (&c)[4]) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int i = 0; i < 4; i++) d[i] = c[i];
    for (int k = 0; k < 8; k++)
        for (int i = 0; i < 4; i++) {
            float a_k = __shfl_sync(0xffffffffu, a[i / 2 + k / 4 * 2], g * 4 + k % 4);            // A[g + i / 2 * 8, k]
            float b_k = __shfl_sync(0xffffffffu, b[k / 4], (2 * t + i % 2) * 4 + k % 4);          // B[k, 2 t + i % 2]
            d[i] += a_k * b_k;
        }
}

extern "C" __global__
void multiply(const float* A, const float* B, const float* C, float* D) {
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;              // [0, 8), [0, 4)
    A += blockIdx.x * 16 * 8;
    B += blockIdx.x * 8 * 8;
    C += blockIdx.x * 16 * 8;
    D += blockIdx.x * 16 * 8;
    float a[4], b[2], c[4], d[4];
    // >>> solution
    for (int i = 0; i < 4; i++) a[i] = A[(g + i % 2 * 8) * 8 + t + i / 2 * 4];
    for (int i = 0; i < 2; i++) b[i] = B[(t + i * 4) * 8 + g];
    for (int i = 0; i < 4; i++) c[i] = C[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
    mma_16x8x8(d, a, b, c);
    for (int i = 0; i < 4; i++) D[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
    // === task
    for (int i = 0; i < 4; i++) a[i] = 0.0f, c[i] = 0.0f;            // TODO: this lane's elements of A, B and C
    for (int i = 0; i < 2; i++) b[i] = 0.0f;
    mma_16x8x8(d, a, b, c);
    // TODO: this lane's elements of D
    // <<<
}
