// Random numbers: Philox4x32-10 (Salmon et al. 2011), uniform, normal and whole. Counter-based: number i is a function
// of (seed, stream, i).
//
//   philox      10 rounds of two 32 x 32 -> 64 bit products over a 128-bit counter; 4 words of 32 bits come out
//   uniform     24 high bits of a word times 2^-24: [0, 1) in steps a float holds exactly; then low + (high - low) * u,
//               which may round to high: then last, the float below it
//   integers    the high 32 bits of word * below: [0, below), no float between, so equal on every device
//   normal      Box-Muller on pairs: r = sqrt(-2 ln u1), angle 2 pi u2 with u1 in (0, 1]; mean + std * r * (cos, sin)
//   state       { seed, stream, offset } in device memory; random_advance moves the offset on after a draw
//   mapping     1-D grid, one thread per 4 numbers: thread i takes counter offset + first / 4 + i; first: the number of
//               a longer draw at which this part of it begins, inside a counter's four where it comes so
//   cost        random_uniform 4*n bytes, 3.25*n FLOP; random_normal 4*n bytes, 26.5*n FLOP; philox_words 40*n bytes, 0
//               FLOP; random_integers 4*n bytes, 0 FLOP; random_advance 16 bytes, 0 FLOP; and some 25 integer products
//               and additions a number: compute bound on a CPU, not on a GPU
//   aliasing    none
//   lesson      a generator without memory: any thread computes its numbers from its index. And bit-equal results on
//               every device: only +, *, / and sqrt, which IEEE 754 fixes, and fmaf where a product is added, so that
//               no compiler may choose

#include "index.cuh"

struct Words { unsigned w[4]; };

__device__ __forceinline__ Words philox4x32_10(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0,
    unsigned k1) {
    for (int round = 0; round < 10; round++) {
        unsigned hi0 = __umulhi(0xD2511F53u, c0), lo0 = 0xD2511F53u * c0;
        unsigned hi1 = __umulhi(0xCD9E8D57u, c2), lo1 = 0xCD9E8D57u * c2;
        c0 = hi1 ^ c1 ^ k0;
        c1 = lo1;
        c2 = hi0 ^ c3 ^ k1;
        c3 = lo0;
        k0 += 0x9E3779B9u;                                   // Weyl sequence: golden ratio, and sqrt(3) - 1
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

__device__ __forceinline__ Words words_of_thread(const unsigned long long* state, long long first, int i) {
    unsigned long long seed = state[0], stream = state[1];
    unsigned long long counter = state[2] + (unsigned long long)(first / 4 + i);
    return philox4x32_10((unsigned)counter, (unsigned)(counter >> 32), (unsigned)stream, (unsigned)(stream >> 32),
                         (unsigned)seed, (unsigned)(seed >> 32));
}

// ln u for u in [2^-24, 1]: u = m * 2^e with m in [0.75, 1.5), and ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <=
// 0.2.
__device__ __forceinline__ float log_unit(float u) {
    unsigned bits = __float_as_uint(u) - 0x3f400000u;        // exponent counted from 0.75
    int e = (int)bits >> 23;
    float m = __uint_as_float((bits & 0x007fffffu) + 0x3f400000u);
    float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    float series = fmaf(s2, fmaf(s2, fmaf(s2, fmaf(s2, fmaf(s2, 1.0f / 11, 1.0f / 9), 1.0f / 7), 1.0f / 5), 1.0f / 3),
        1.0f);
    return fmaf((float)e, 0.693147181f, 2.0f * s * series);
}

// cos and sin of 2 pi u for u in [0, 1): whole quarters by symmetry, Taylor series on the rest, |angle| <= pi / 4.
__device__ __forceinline__ void cos_sin_turn(float u, float* cosine, float* sine) {
    int quarter = (int)fmaf(u, 4.0f, 0.5f);                  // [0, 4]
    float a = fmaf(u, 4.0f, -(float)quarter) * 1.57079633f, a2 = a * a;
    float s = a * fmaf(a2, fmaf(a2, fmaf(a2, fmaf(a2, 2.75573192e-6f, -1.98412698e-4f), 8.33333333e-3f),
        -1.66666667e-1f), 1.0f);
    float c = fmaf(a2, fmaf(a2, fmaf(a2, fmaf(a2, fmaf(a2, -2.75573192e-7f, 2.48015873e-5f), -1.38888889e-3f),
        4.16666667e-2f), -0.5f), 1.0f);
    float x = quarter & 1 ? s : c, y = quarter & 1 ? c : s;  // a quarter turn swaps them, and changes one sign
    *cosine = quarter == 1 || quarter == 2 ? -x : x;
    *sine = quarter == 2 || quarter == 3 ? -y : y;
}

extern "C" __global__
void random_uniform(const unsigned long long* state, long long first, float* out, int n, float low, float high,
                    float last) {
    int i = global_thread();
    int skip = (int)(first % 4);
    if (i >= ceil_div(n + skip, 4)) return;
    Words r = words_of_thread(state, first, i);
    for (int k = 0; k < 4; k++) {
        float v = fmaf(high - low, (float)(r.w[k] >> 8) * 0x1p-24f, low);
        int at = 4 * i + k - skip;
        if (at >= 0 && at < n) out[at] = v < high ? v : last;
    }
}

extern "C" __global__
void random_normal(const unsigned long long* state, long long first, float* out, int n, float mean, float std) {
    int i = global_thread();
    int skip = (int)(first % 4);
    if (i >= ceil_div(n + skip, 4)) return;
    Words r = words_of_thread(state, first, i);
    for (int k = 0; k < 4; k += 2) {
        float u1 = (float)((r.w[k] >> 8) + 1u) * 0x1p-24f, u2 = (float)(r.w[k + 1] >> 8) * 0x1p-24f;
        float radius = sqrtf(-2.0f * log_unit(u1)), c, s;
        cos_sin_turn(u2, &c, &s);
        int at = 4 * i + k - skip;
        if (at >= 0 && at < n) out[at] = fmaf(radius * c, std, mean);
        if (at + 1 >= 0 && at + 1 < n) out[at + 1] = fmaf(radius * s, std, mean);
    }
}

extern "C" __global__
void random_integers(const unsigned long long* state, long long first, int* out, int n, int below) {
    int i = global_thread();
    int skip = (int)(first % 4);
    if (i >= ceil_div(n + skip, 4)) return;
    Words r = words_of_thread(state, first, i);
    for (int k = 0; k < 4; k++) {
        int at = 4 * i + k - skip;
        if (at >= 0 && at < n) out[at] = (int)__umulhi(r.w[k], (unsigned)below);
    }
}

extern "C" __global__
void random_advance(unsigned long long* state, int counters) {
    if (global_thread() == 0) state[2] += (unsigned long long)counters;
}

// The bare generator, for known answers.
extern "C" __global__
void philox_words(const unsigned* counters, const unsigned* keys, unsigned* out, int n) {
    int i = global_thread();
    if (i >= n) return;
    Words r = philox4x32_10(counters[4 * i], counters[4 * i + 1], counters[4 * i + 2], counters[4 * i + 3],
        keys[2 * i], keys[2 * i + 1]);
    for (int k = 0; k < 4; k++) out[4 * i + k] = r.w[k];
}
