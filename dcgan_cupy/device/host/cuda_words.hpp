// More of CUDA's words, for kernels that are not ours: the intrinsics of the programming guide, collectives that match and
// reduce, assert. Behind cuda_on_host.hpp, in the workbench only: our own kernels are compiled without it.
#pragma once
#include <float.h>
#include <limits.h>

#undef CANARY                                      // words of cuda_on_host.hpp that a program may own, too
#undef HOST_FORCED
#undef FLATTEN
#undef FLOAT_REGISTER
#define __managed__
#define __builtin_align__(n) __attribute__((aligned(n)))
#define __inline_hint__
#define __nv_pure__
#define __maxnreg__(...)
#define __CUDA_ALIGN__(n) __attribute__((aligned(n)))

#define CUDART_INF_F __builtin_inff()
#define CUDART_NAN_F __builtin_nanf("")
#define CUDART_INF __builtin_inf()
#define CUDART_NAN __builtin_nan("")
#define CUDART_PI_F 3.141592654f
#define CUDART_PI 3.1415926535897931e+0
#define CUDART_MAX_NORMAL_F 3.402823466e38f
#define CUDART_ZERO_F 0.0f
#define CUDART_ONE_F 1.0f
#define CUDART_SQRT_2PI 2.5066282746310005024

typedef unsigned int uint;
typedef unsigned short ushort;
typedef unsigned char uchar;
typedef unsigned long ulong;
typedef void* cudaStream_t;
typedef int cudaError_t;
enum { cudaSuccess = 0 };

#define VECTOR1(T, NAME) struct NAME##1 { T x; }; HOST_INLINE NAME##1 make_##NAME##1(T x) { return {x}; }
VECTOR1(float, float) VECTOR1(int, int) VECTOR1(unsigned, uint) VECTOR1(double, double) VECTOR1(short, short) VECTOR1(char, char)
VECTOR1(unsigned char, uchar) VECTOR1(unsigned short, ushort) VECTOR1(long long, longlong) VECTOR1(unsigned long long, ulonglong)
#undef VECTOR1
typedef longlong2 long2;
typedef longlong4 long4;
typedef ulonglong2 ulong2;
typedef ulonglong4 ulong4;

// ---------------------------------------------------------------------------------------------------------------------
// Arithmetic. Roundings other than to nearest are worked out in double, or by a step to the neighbour.
#define ROUNDED(OP, EXPRESSION) \
    HOST_INLINE float __f##OP##_rz(float x, float y) { double r = EXPRESSION; float f = (float)r; return fabs((double)f) > fabs(r) ? nextafterf(f, 0) : f; } \
    HOST_INLINE float __f##OP##_rd(float x, float y) { double r = EXPRESSION; float f = (float)r; return f > r ? nextafterf(f, -INFINITY) : f; } \
    HOST_INLINE float __f##OP##_ru(float x, float y) { double r = EXPRESSION; float f = (float)r; return f < r ? nextafterf(f, INFINITY) : f; }
ROUNDED(add, (double)x + y)
ROUNDED(sub, (double)x - y)
ROUNDED(mul, (double)x * y)
ROUNDED(div, (double)x / y)
#undef ROUNDED
HOST_INLINE float __fmaf_rz(float x, float y, float z) { return (float)((double)x * y + z); }
HOST_INLINE float __fmaf_rd(float x, float y, float z) { return (float)((double)x * y + z); }
HOST_INLINE float __fmaf_ru(float x, float y, float z) { return (float)((double)x * y + z); }
HOST_INLINE float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
HOST_INLINE float __fsqrt_rz(float x) { return sqrtf(x); }
HOST_INLINE float __fsqrt_rd(float x) { return sqrtf(x); }
HOST_INLINE float __fsqrt_ru(float x) { return sqrtf(x); }
HOST_INLINE float __frcp_rz(float x) { return 1.0f / x; }
HOST_INLINE float __frcp_rd(float x) { return 1.0f / x; }
HOST_INLINE float __frcp_ru(float x) { return 1.0f / x; }
HOST_INLINE double __dadd_rn(double x, double y) { return x + y; }
HOST_INLINE double __dsub_rn(double x, double y) { return x - y; }
HOST_INLINE double __dmul_rn(double x, double y) { return x * y; }
HOST_INLINE double __ddiv_rn(double x, double y) { return x / y; }
HOST_INLINE double __dsqrt_rn(double x) { return sqrt(x); }
HOST_INLINE double __drcp_rn(double x) { return 1.0 / x; }
HOST_INLINE double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
HOST_INLINE float fdividef(float x, float y) { return x / y; }
#define __exp10f(x) powf(10.0f, x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __tanf(x) tanf(x)
#define __tanhf(x) tanhf(x)
#define __exp2f(x) exp2f(x)
#define __sincosf(x, s, c) cuda_on_host::sine_and_cosine(x, s, c)
namespace cuda_on_host { HOST_INLINE void sine_and_cosine(float x, float* s, float* c) { *s = sinf(x); *c = cosf(x); } }
HOST_INLINE float sinpif(float x) { return sinf(3.14159265f * fmodf(x, 2.0f)); }
HOST_INLINE float cospif(float x) { return cosf(3.14159265f * fmodf(x, 2.0f)); }
HOST_INLINE double sinpi(double x) { return sin(3.14159265358979324 * fmod(x, 2.0)); }
HOST_INLINE double cospi(double x) { return cos(3.14159265358979324 * fmod(x, 2.0)); }
HOST_INLINE float rcbrtf(float x) { return 1.0f / cbrtf(x); }
HOST_INLINE float rhypotf(float x, float y) { return 1.0f / hypotf(x, y); }
HOST_INLINE float norm3df(float a, float b, float c) { return sqrtf(a * a + b * b + c * c); }
HOST_INLINE float rnorm3df(float a, float b, float c) { return 1.0f / norm3df(a, b, c); }
HOST_INLINE float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
HOST_INLINE double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752); }
HOST_INLINE float erfcxf(float x) { return expf(x * x) * erfcf(x); }
HOST_INLINE unsigned umin(unsigned a, unsigned b) { return a < b ? a : b; }
HOST_INLINE unsigned umax(unsigned a, unsigned b) { return a > b ? a : b; }
HOST_INLINE unsigned long long ullmin(unsigned long long a, unsigned long long b) { return a < b ? a : b; }
HOST_INLINE unsigned long long ullmax(unsigned long long a, unsigned long long b) { return a > b ? a : b; }
HOST_INLINE float max(float a, double b) { return (float)fmax(a, b); }
HOST_INLINE float max(float a, int b) { return fmaxf(a, (float)b); }
HOST_INLINE float max(int a, float b) { return fmaxf((float)a, b); }
HOST_INLINE float min(float a, int b) { return fminf(a, (float)b); }
HOST_INLINE float min(int a, float b) { return fminf((float)a, b); }
HOST_INLINE double max(double a, float b) { return fmax(a, b); }
HOST_INLINE double min(double a, float b) { return fmin(a, b); }
HOST_INLINE double min(float a, double b) { return fmin(a, b); }
HOST_INLINE double max(double a, int b) { return fmax(a, b); }
HOST_INLINE double min(double a, int b) { return fmin(a, b); }
HOST_INLINE double max(int a, double b) { return fmax(a, b); }
HOST_INLINE double min(int a, double b) { return fmin(a, b); }
HOST_INLINE float abs(float x) { return fabsf(x); }
HOST_INLINE double abs(double x) { return fabs(x); }
HOST_INLINE long long abs(long long x) { return x < 0 ? -x : x; }
HOST_INLINE long abs(long x) { return x < 0 ? -x : x; }
#define OVERLOADS(NAME) HOST_INLINE float NAME(float x) { return NAME##f(x); }
OVERLOADS(sqrt) OVERLOADS(exp) OVERLOADS(log) OVERLOADS(sin) OVERLOADS(cos) OVERLOADS(tan) OVERLOADS(floor) OVERLOADS(ceil)
OVERLOADS(fabs) OVERLOADS(log2) OVERLOADS(log10) OVERLOADS(exp2) OVERLOADS(tanh) OVERLOADS(round) OVERLOADS(trunc) OVERLOADS(rsqrt)
OVERLOADS(rint) OVERLOADS(erf) OVERLOADS(atan) OVERLOADS(acos) OVERLOADS(asin) OVERLOADS(sinh) OVERLOADS(cosh) OVERLOADS(expm1)
OVERLOADS(log1p) OVERLOADS(cbrt)
#undef OVERLOADS
#define OVERLOADS(NAME) HOST_INLINE double NAME(int x) { return NAME((double)x); } HOST_INLINE double NAME(unsigned x) { return NAME((double)x); } \
    HOST_INLINE double NAME(long x) { return NAME((double)x); } HOST_INLINE double NAME(long long x) { return NAME((double)x); } \
    HOST_INLINE double NAME(unsigned long x) { return NAME((double)x); }
OVERLOADS(sqrt) OVERLOADS(exp) OVERLOADS(log) OVERLOADS(sin) OVERLOADS(cos) OVERLOADS(floor) OVERLOADS(ceil) OVERLOADS(log2) OVERLOADS(fabs)
#undef OVERLOADS
HOST_INLINE float pow(float x, float y) { return powf(x, y); }
HOST_INLINE float pow(float x, int y) { return powf(x, (float)y); }
HOST_INLINE double pow(double x, int y) { return pow(x, (double)y); }
HOST_INLINE double pow(int x, int y) { return pow((double)x, (double)y); }
HOST_INLINE double pow(double x, float y) { return pow(x, (double)y); }
HOST_INLINE double pow(float x, double y) { return pow((double)x, y); }
HOST_INLINE double pow(int x, double y) { return pow((double)x, y); }
HOST_INLINE float pow(int x, float y) { return powf((float)x, y); }
HOST_INLINE float fmod(float x, float y) { return fmodf(x, y); }
HOST_INLINE float atan2(float y, float x) { return atan2f(y, x); }
HOST_INLINE float fmax(float x, float y) { return fmaxf(x, y); }
HOST_INLINE float fmin(float x, float y) { return fminf(x, y); }
HOST_INLINE float fma(float x, float y, float z) { return fmaf(x, y, z); }

// ---------------------------------------------------------------------------------------------------------------------
// Bits and integers
HOST_INLINE int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
HOST_INLINE int __ffsll(long long x) { return __builtin_ffsll(x); }
HOST_INLINE unsigned long long __brevll(unsigned long long x) { return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32)); }
HOST_INLINE unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffffu) * (b & 0xffffffu); }
HOST_INLINE int __mul24(int a, int b) { return (int)((unsigned)(a << 8 >> 8) * (unsigned)(b << 8 >> 8)); }
HOST_INLINE unsigned umul24(unsigned a, unsigned b) { return __umul24(a, b); }
HOST_INLINE int mul24(int a, int b) { return __mul24(a, b); }
HOST_INLINE unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }
HOST_INLINE long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
HOST_INLINE unsigned __sad(int x, int y, unsigned z) { return z + (unsigned)(x > y ? x - y : y - x); }
HOST_INLINE unsigned __usad(unsigned x, unsigned y, unsigned z) { return z + (x > y ? x - y : y - x); }
HOST_INLINE int __hadd(int x, int y) { return (int)(((long long)x + y) >> 1); }
HOST_INLINE int __rhadd(int x, int y) { return (int)(((long long)x + y + 1) >> 1); }
HOST_INLINE unsigned __uhadd(unsigned x, unsigned y) { return (unsigned)(((unsigned long long)x + y) >> 1); }
HOST_INLINE unsigned __urhadd(unsigned x, unsigned y) { return (unsigned)(((unsigned long long)x + y + 1) >> 1); }
HOST_INLINE unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned n) { n &= 31; return n ? hi << n | lo >> (32 - n) : hi; }
HOST_INLINE unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned n) { n &= 31; return n ? lo >> n | hi << (32 - n) : lo; }
HOST_INLINE unsigned __funnelshift_lc(unsigned lo, unsigned hi, unsigned n) { return n >= 32 ? lo : __funnelshift_l(lo, hi, n); }
HOST_INLINE unsigned __funnelshift_rc(unsigned lo, unsigned hi, unsigned n) { return n >= 32 ? hi : __funnelshift_r(lo, hi, n); }
HOST_INLINE unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
    unsigned long long both = (unsigned long long)y << 32 | x;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) {
        unsigned pick = s >> 4 * i & 15, byte = (unsigned)(both >> 8 * (pick & 7)) & 255;
        r |= (pick & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
    }
    return r;
}
HOST_INLINE int __dp4a(int a, int b, int c) { for (int i = 0; i < 32; i += 8) c += (int)(signed char)(a >> i) * (signed char)(b >> i); return c; }
HOST_INLINE unsigned __dp4a(unsigned a, unsigned b, unsigned c) { for (int i = 0; i < 32; i += 8) c += (a >> i & 255) * (b >> i & 255); return c; }
HOST_INLINE int __dp2a_lo(int a, int b, int c) { return c + (short)a * (signed char)b + (a >> 16) * (signed char)(b >> 8); }
HOST_INLINE int __dp2a_hi(int a, int b, int c) { return c + (short)a * (signed char)(b >> 16) + (a >> 16) * (b >> 24); }
HOST_INLINE unsigned __fns(unsigned mask, unsigned base, int offset) {      // the offset-th set bit from `base` on
    int step = offset < 0 ? -1 : 1, left = offset < 0 ? -offset : offset;
    if (offset == 0) return mask >> base & 1 ? base : 0xffffffffu;
    for (int i = (int)base; i >= 0 && i < 32; i += step) if (mask >> i & 1 && --left == 0) return (unsigned)i;
    return 0xffffffffu;
}
#define BYTES(NAME, T, LANE, EXPRESSION) HOST_INLINE unsigned NAME(unsigned x, unsigned y) { unsigned r = 0; \
    for (int i = 0; i < 32; i += LANE) { int a = (T)(x >> i), b = (T)(y >> i); r |= ((unsigned)(EXPRESSION) & (LANE == 8 ? 255u : 65535u)) << i; } return r; }
BYTES(__vadd4, signed char, 8, a + b) BYTES(__vsub4, signed char, 8, a - b) BYTES(__vadd2, short, 16, a + b) BYTES(__vsub2, short, 16, a - b)
BYTES(__vmaxs4, signed char, 8, a > b ? a : b) BYTES(__vmins4, signed char, 8, a < b ? a : b) BYTES(__vmaxu4, unsigned char, 8, a > b ? a : b)
BYTES(__vminu4, unsigned char, 8, a < b ? a : b) BYTES(__vabsdiffu4, unsigned char, 8, a > b ? a - b : b - a) BYTES(__vavgu4, unsigned char, 8, (a + b + 1) >> 1)
BYTES(__vcmpeq4, unsigned char, 8, a == b ? 255 : 0) BYTES(__vcmpgtu4, unsigned char, 8, a > b ? 255 : 0) BYTES(__vmaxs2, short, 16, a > b ? a : b)
BYTES(__vmins2, short, 16, a < b ? a : b) BYTES(__vcmpeq2, unsigned short, 16, a == b ? 65535 : 0)
#undef BYTES

// Conversions
namespace cuda_on_host {
template <class To, class From> HOST_INLINE To same_bits(From v) { static_assert(sizeof(To) == sizeof(From), ""); To r; memcpy(&r, &v, sizeof r); return r; }
}
HOST_INLINE double __longlong_as_double(long long x) { return cuda_on_host::same_bits<double>(x); }
HOST_INLINE long long __double_as_longlong(double x) { return cuda_on_host::same_bits<long long>(x); }
HOST_INLINE int __double2hiint(double x) { return (int)(cuda_on_host::same_bits<long long>(x) >> 32); }
HOST_INLINE int __double2loint(double x) { return (int)cuda_on_host::same_bits<long long>(x); }
HOST_INLINE double __hiloint2double(int hi, int lo) { return cuda_on_host::same_bits<double>((long long)((unsigned long long)(unsigned)hi << 32 | (unsigned)lo)); }
#define FROM(NAME, T, F) HOST_INLINE T __##NAME##_rn(F x) { return (T)rint(x); } HOST_INLINE T __##NAME##_rz(F x) { return (T)x; } \
    HOST_INLINE T __##NAME##_rd(F x) { return (T)floor(x); } HOST_INLINE T __##NAME##_ru(F x) { return (T)ceil(x); }
FROM(float2uint, unsigned, float) FROM(float2ll, long long, float) FROM(float2ull, unsigned long long, float)
FROM(double2int, int, double) FROM(double2uint, unsigned, double) FROM(double2ll, long long, double) FROM(double2ull, unsigned long long, double)
#undef FROM
#define INTO(NAME, T, F) HOST_INLINE T __##NAME##_rn(F x) { return (T)x; } HOST_INLINE T __##NAME##_rz(F x) { return (T)x; } \
    HOST_INLINE T __##NAME##_rd(F x) { return (T)x; } HOST_INLINE T __##NAME##_ru(F x) { return (T)x; }
INTO(ll2float, float, long long) INTO(ull2float, float, unsigned long long) INTO(ll2double, double, long long) INTO(double2float, float, double)
INTO(ull2double, double, unsigned long long)
#undef INTO
HOST_INLINE float __int2float_rz(int x) { return (float)x; }
HOST_INLINE float __int2float_rd(int x) { return (float)x; }
HOST_INLINE float __int2float_ru(int x) { return (float)x; }
HOST_INLINE float __uint2float_rz(unsigned x) { return (float)x; }
HOST_INLINE double __int2double_rn(int x) { return x; }
HOST_INLINE double __uint2double_rn(unsigned x) { return x; }

// Loads and stores with a hint for the cache
template <class T> HOST_INLINE T __ldcg(const T* p) { return *p; }
template <class T> HOST_INLINE T __ldca(const T* p) { return *p; }
template <class T> HOST_INLINE T __ldlu(const T* p) { return *p; }
template <class T> HOST_INLINE T __ldcv(const T* p) { return *p; }
template <class T> HOST_INLINE void __stcg(T* p, T v) { *p = v; }
template <class T> HOST_INLINE void __stwb(T* p, T v) { *p = v; }
template <class T> HOST_INLINE void __stwt(T* p, T v) { *p = v; }
HOST_INLINE void __prefetch_global_l1(const void*) {}
HOST_INLINE void __prefetch_global_l2(const void*) {}
HOST_INLINE bool __isGlobal(const void*) { return true; }
HOST_INLINE bool __isShared(const void*) { return false; }

// Atomics that cuda_on_host.hpp lacks
HOST_INLINE unsigned atomicDec(unsigned* p, unsigned top) {
    return cuda_on_host::atomic_update(p, [top](unsigned a) { return a == 0 || a > top ? top : a - 1u; });
}
#define SCOPED(NAME) template <class T> HOST_INLINE T NAME##_block(T* p, typename cuda_on_host::same<T>::type v) { return NAME(p, v); } \
    template <class T> HOST_INLINE T NAME##_system(T* p, typename cuda_on_host::same<T>::type v) { return NAME(p, v); }
SCOPED(atomicAdd) SCOPED(atomicSub) SCOPED(atomicMax) SCOPED(atomicMin) SCOPED(atomicAnd) SCOPED(atomicOr) SCOPED(atomicXor) SCOPED(atomicExch)
SCOPED(atomicInc) SCOPED(atomicDec)
#undef SCOPED
template <class T> HOST_INLINE T atomicCAS_block(T* p, typename cuda_on_host::same<T>::type e, typename cuda_on_host::same<T>::type v) { return atomicCAS(p, e, v); }
template <class T> HOST_INLINE T atomicCAS_system(T* p, typename cuda_on_host::same<T>::type e, typename cuda_on_host::same<T>::type v) { return atomicCAS(p, e, v); }
#ifndef __threadfence_system
HOST_INLINE void __threadfence_system() { __threadfence(); }
#endif

// ---------------------------------------------------------------------------------------------------------------------
// What stops a kernel, and the clock: one that only goes on
namespace cuda_on_host {
static long long ticks;
static __attribute__((noinline, noreturn)) void failed_assertion(const char* what, const char* file, int line) {
    fiber_error("%s:%d: kernel %s: thread (%u, %u, %u) of block (%u, %u, %u): assertion: %s", file, line, the_launch->name,
                threadIdx.x, threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z, what);
}
}
#undef assert
#define assert(...) ((__VA_ARGS__) ? (void)0 : cuda_on_host::failed_assertion("assert(" #__VA_ARGS__ ") does not hold", __FILE__, __LINE__))
#define __trap() cuda_on_host::failed_assertion("__trap() is reached", __FILE__, __LINE__)
#define __brkpt() ((void)0)
#define __nv_assume(e) ((void)0)
#define __builtin_assume(e) ((void)0)
HOST_INLINE long long clock64() { return cuda_on_host::ticks += 4; }
HOST_INLINE long clock() { return (long)(cuda_on_host::ticks += 4); }
HOST_INLINE void __nanosleep(unsigned) {}

// ---------------------------------------------------------------------------------------------------------------------
// Collectives that match and reduce
namespace cuda_on_host {
static void act_match_any(Fiber* lanes, unsigned mask) {
    for (int i = 0; i < 32; i++) if (mask >> i & 1) {
        unsigned m = 0;
        for (int j = 0; j < 32; j++) if (mask >> j & 1 && lanes[j].in == lanes[i].in) m |= 1u << j;
        lanes[i].out = m;
    }
}
enum { SUM, LEAST, MOST, LEAST_SIGNED, MOST_SIGNED, AND, OR, XOR };
template <int KIND> static void act_reduce(Fiber* lanes, unsigned mask) {
    unsigned r = 0;
    bool first = true;
    for (int i = 0; i < 32; i++) if (mask >> i & 1) {
        unsigned v = (unsigned)lanes[i].in;
        if (first) { r = v; first = false; continue; }
        if (KIND == SUM) r += v;
        if (KIND == LEAST) r = v < r ? v : r;
        if (KIND == MOST) r = v > r ? v : r;
        if (KIND == LEAST_SIGNED) r = (int)v < (int)r ? v : r;
        if (KIND == MOST_SIGNED) r = (int)v > (int)r ? v : r;
        if (KIND == AND) r &= v;
        if (KIND == OR) r |= v;
        if (KIND == XOR) r ^= v;
    }
    for (int i = 0; i < 32; i++) if (mask >> i & 1) lanes[i].out = r;
}
#define WHERE const char* file, int line
template <class T> HOST_INLINE unsigned match_any(WHERE, unsigned mask, T v) {
    return (unsigned)warp_meet(mask, to_bits(v), 0, 32, act_match_any, "__match_any_sync()", file, line);
}
template <class T> HOST_INLINE unsigned match_all(WHERE, unsigned mask, T v, int* all) {
    unsigned m = (unsigned)warp_meet(mask, to_bits(v), 0, 32, act_match_any, "__match_all_sync()", file, line);
    unsigned first = fiber_now & ~31u, exist = fiber_count - first >= 32 ? ~0u : (1u << (fiber_count - first)) - 1u;
    *all = m == (mask & exist);
    return *all ? mask : 0;
}
#define REDUCE(NAME, T, KIND) HOST_INLINE T reduce_##NAME(WHERE, unsigned mask, T v) { \
    return (T)warp_meet(mask, (unsigned)v, 0, 32, act_reduce<KIND>, "__reduce_" #NAME "_sync()", file, line); }
REDUCE(add, unsigned, SUM) REDUCE(add, int, SUM) REDUCE(min, unsigned, LEAST) REDUCE(min, int, LEAST_SIGNED) REDUCE(max, unsigned, MOST)
REDUCE(max, int, MOST_SIGNED) REDUCE(and, unsigned, AND) REDUCE(or, unsigned, OR) REDUCE(xor, unsigned, XOR)
#undef REDUCE
#undef WHERE
}
#define __match_any_sync(...) cuda_on_host::match_any(__FILE__, __LINE__, __VA_ARGS__)
#define __match_all_sync(...) cuda_on_host::match_all(__FILE__, __LINE__, __VA_ARGS__)
#define __reduce_add_sync(...) cuda_on_host::reduce_add(__FILE__, __LINE__, __VA_ARGS__)
#define __reduce_min_sync(...) cuda_on_host::reduce_min(__FILE__, __LINE__, __VA_ARGS__)
#define __reduce_max_sync(...) cuda_on_host::reduce_max(__FILE__, __LINE__, __VA_ARGS__)
#define __reduce_and_sync(...) cuda_on_host::reduce_and(__FILE__, __LINE__, __VA_ARGS__)
#define __reduce_or_sync(...) cuda_on_host::reduce_or(__FILE__, __LINE__, __VA_ARGS__)
#define __reduce_xor_sync(...) cuda_on_host::reduce_xor(__FILE__, __LINE__, __VA_ARGS__)
// The words of before Volta, without a mask: the lanes that are there
#define __shfl(...) __shfl_sync(cuda_on_host::lanes_here(__FILE__, __LINE__), __VA_ARGS__)
#define __shfl_up(...) __shfl_up_sync(cuda_on_host::lanes_here(__FILE__, __LINE__), __VA_ARGS__)
#define __shfl_down(...) __shfl_down_sync(cuda_on_host::lanes_here(__FILE__, __LINE__), __VA_ARGS__)
#define __shfl_xor(...) __shfl_xor_sync(cuda_on_host::lanes_here(__FILE__, __LINE__), __VA_ARGS__)
#define __ballot(p) __ballot_sync(cuda_on_host::lanes_here(__FILE__, __LINE__), p)
#define __any(p) __any_sync(cuda_on_host::lanes_here(__FILE__, __LINE__), p)
#define __all(p) __all_sync(cuda_on_host::lanes_here(__FILE__, __LINE__), p)
