// expf and tanhf as the CPU device computes them, and a page in a browser (device/wasm): HOST_INLINE, and the C library's names,
// come from whoever includes this.
#pragma once

// exp and tanh without a call or a branch, so that a loop over threads is vectorised: the C library's take 30 ns an element.
// Errors up to 3 units in the last place, like CUDA's own.
namespace cuda_on_host {
HOST_INLINE float vector_exp(float x) {
    float held = x > 89.0f ? 89.0f : x < -104.0f ? -104.0f : x;      // beyond: infinity, and 0. NaN stays
    float n = rintf(held * 1.44269504f), r = fmaf(n, -0.693145752f, held);
    r = fmaf(n, -1.42860677e-6f, r);                                 // x - n ln 2, ln 2 in two parts: |r| <= 0.347
    float p = fmaf(r, fmaf(r, fmaf(r, fmaf(r, fmaf(r, fmaf(r, 1.98412698e-4f, 1.38888889e-3f), 8.33333333e-3f), 4.16666667e-2f),
                                   1.66666667e-1f), 0.5f), 1.0f);
    int e = held == held ? (int)n : 0, half = e >> 1;                // 2^e in two factors: neither overflows before the product does
    unsigned a = (unsigned)(half + 127) << 23, b = (unsigned)(e - half + 127) << 23;
    float fa, fb;
    memcpy(&fa, &a, 4);
    memcpy(&fb, &b, 4);
    return fmaf(p, r, 1.0f) * fa * fb;
}
HOST_INLINE float vector_tanh(float x) {
    float a = fabsf(x), t = vector_exp(-2.0f * a), x2 = x * x;
    float large = copysignf((1.0f - t) / (1.0f + t), x);
    float small = fmaf(x * x2, fmaf(x2, fmaf(x2, fmaf(x2, fmaf(x2, -8.86323552e-3f, 2.18694885e-2f), -5.39682540e-2f), 1.33333333e-1f),
                                    -3.33333333e-1f), x);            // the series: (1 - t) would lose digits near 0
    return a < 0.35f ? copysignf(small, x) : a >= 0.35f ? large : x;           // the sign of a zero is lost in the series
}
}
#define expf(x) cuda_on_host::vector_exp(x)
#define tanhf(x) cuda_on_host::vector_tanh(x)
