// curand_kernel.h on a CPU: Philox 4x32 with ten rounds, as cuRAND's device API has it. curandState (XORWOW there) draws from Philox,
// too: as random, but other numbers than a GPU's. Included for texts that name curand only.
#pragma once
#define INLINE inline __attribute__((always_inline))
struct curandStatePhilox4_32_10 { uint4 ctr, output; uint2 key; unsigned state; int boxmuller_flag, boxmuller_flag_double; float boxmuller_extra; double boxmuller_extra_double; };
typedef curandStatePhilox4_32_10 curandStatePhilox4_32_10_t;
typedef curandStatePhilox4_32_10 curandState;
typedef curandStatePhilox4_32_10 curandState_t;
typedef curandStatePhilox4_32_10 curandStateXORWOW_t;
typedef curandStatePhilox4_32_10 curandStateXORWOW;
typedef curandStatePhilox4_32_10 curandStateMRG32k3a;
typedef curandStatePhilox4_32_10 curandStateMRG32k3a_t;

namespace cuda_on_host {
typedef curandStatePhilox4_32_10 Random;
INLINE uint4 philox(uint4 c, uint2 k) {
    unsigned a = c.x, b = c.y, d = c.z, e = c.w, k0 = k.x, k1 = k.y;
    for (int round = 0; round < 10; round++) {
        unsigned long long p = 0xD2511F53ull * a, q = 0xCD9E8D57ull * d;
        unsigned n0 = (unsigned)(q >> 32) ^ b ^ k0, n2 = (unsigned)(p >> 32) ^ e ^ k1;
        a = n0; b = (unsigned)q; d = n2; e = (unsigned)p;
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
    return make_uint4(a, b, d, e);
}
INLINE void skip(Random* s, unsigned long long n) {      // n groups of four numbers further
    unsigned long long low = (unsigned long long)s->ctr.y << 32 | s->ctr.x, sum = low + n;
    s->ctr.x = (unsigned)sum;
    s->ctr.y = (unsigned)(sum >> 32);
    if (sum < low && ++s->ctr.z == 0) ++s->ctr.w;
}
INLINE float to_uniform(unsigned x) { return x * 2.3283064e-10f + 2.3283064e-10f / 2.0f; }
INLINE float2 box_muller(unsigned x, unsigned y) {
    float u = to_uniform(x), v = y * (2.3283064e-10f * 6.2831855f) + 2.3283064e-10f * 6.2831855f / 2.0f, r = sqrtf(-2.0f * logf(u));
    return make_float2(r * sinf(v), r * cosf(v));
}
}
INLINE void skipahead(unsigned long long n, cuda_on_host::Random* s) {
    s->state += (unsigned)(n & 3);
    n /= 4;
    if (s->state > 3) { n++; s->state -= 4; }
    cuda_on_host::skip(s, n);
    s->output = cuda_on_host::philox(s->ctr, s->key);
}
INLINE void curand_init(unsigned long long seed, unsigned long long sequence, unsigned long long offset, cuda_on_host::Random* s) {
    s->ctr = make_uint4(0, 0, (unsigned)sequence, (unsigned)(sequence >> 32));
    s->key = make_uint2((unsigned)seed, (unsigned)(seed >> 32));
    s->state = 0;
    s->boxmuller_flag = s->boxmuller_flag_double = 0;
    s->boxmuller_extra = 0.0f;
    s->boxmuller_extra_double = 0.0;
    skipahead(offset, s);
}
INLINE unsigned curand(cuda_on_host::Random* s) {
    unsigned n = s->state++, r = n == 0 ? s->output.x : n == 1 ? s->output.y : n == 2 ? s->output.z : s->output.w;
    if (s->state == 4) {
        cuda_on_host::skip(s, 1);
        s->output = cuda_on_host::philox(s->ctr, s->key);
        s->state = 0;
    }
    return r;
}
INLINE uint4 curand4(cuda_on_host::Random* s) { unsigned a = curand(s), b = curand(s), c = curand(s), d = curand(s); return make_uint4(a, b, c, d); }
INLINE float curand_uniform(cuda_on_host::Random* s) { return cuda_on_host::to_uniform(curand(s)); }
INLINE float4 curand_uniform4(cuda_on_host::Random* s) {
    uint4 r = curand4(s);
    return make_float4(cuda_on_host::to_uniform(r.x), cuda_on_host::to_uniform(r.y), cuda_on_host::to_uniform(r.z), cuda_on_host::to_uniform(r.w));
}
INLINE double curand_uniform_double(cuda_on_host::Random* s) { unsigned a = curand(s), b = curand(s); return ((unsigned long long)a ^ (unsigned long long)b << 21) * 1.1102230246251565e-16 + 5.5511151231257827e-17; }
INLINE float2 curand_normal2(cuda_on_host::Random* s) { unsigned a = curand(s), b = curand(s); return cuda_on_host::box_muller(a, b); }
INLINE float4 curand_normal4(cuda_on_host::Random* s) { float2 a = curand_normal2(s), b = curand_normal2(s); return make_float4(a.x, a.y, b.x, b.y); }
INLINE float curand_normal(cuda_on_host::Random* s) {
    if (s->boxmuller_flag) { s->boxmuller_flag = 0; return s->boxmuller_extra; }
    float2 v = curand_normal2(s);
    s->boxmuller_extra = v.y;
    s->boxmuller_flag = 1;
    return v.x;
}
INLINE double curand_normal_double(cuda_on_host::Random* s) { return curand_normal(s); }
INLINE float curand_log_normal(cuda_on_host::Random* s, float mean, float deviation) { return expf(mean + deviation * curand_normal(s)); }
INLINE unsigned curand_poisson(cuda_on_host::Random* s, double lambda) {
    double limit = exp(-lambda), p = 1.0;
    unsigned n = 0;
    do { n++; p *= curand_uniform(s); } while (p > limit);
    return n - 1;
}
#undef INLINE
