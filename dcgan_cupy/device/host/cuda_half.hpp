// cuda_fp16.h and cuda_bf16.h on a CPU: 16-bit floats and pairs of them. Included for texts that name them only.
// half is the compiler's _Float16; bfloat16 is the upper half of a float, rounded to nearest even. Each operation is worked out in
// float and rounded once, as a GPU does.
#pragma once
#define INLINE inline __attribute__((always_inline))

struct __half_raw { unsigned short x; };
struct __half {
    _Float16 value;
    __half() = default;
    template <class T> INLINE __half(T v) : value((_Float16)v) {}
    INLINE __half(const __half_raw& raw) { memcpy(&value, &raw, 2); }
    INLINE operator float() const { return (float)value; }
    INLINE operator __half_raw() const { __half_raw r; memcpy(&r, &value, 2); return r; }
};
struct __nv_bfloat16 {
    unsigned short value;
    __nv_bfloat16() = default;
    template <class T> INLINE __nv_bfloat16(T v) {
        float f = (float)v;
        unsigned bits;
        memcpy(&bits, &f, 4);
        value = f != f ? 0x7fff : (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
    INLINE operator float() const { unsigned bits = (unsigned)value << 16; float f; memcpy(&f, &bits, 4); return f; }
};
typedef __half half;
typedef __half __nv_half;
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat16 __nv_bfloat16_raw;

// A pair moves as one word of 4 bytes.
#define PAIR(NAME, T) struct alignas(4) NAME { \
        typedef unsigned Loose __attribute__((aligned(2))); \
        union { struct { T x, y; }; unsigned whole; }; \
        NAME() = default; \
        INLINE NAME(T a, T b) : x(a), y(b) {} \
        INLINE NAME(const NAME& o) : whole(*(const Loose*)&o) {} \
        INLINE NAME& operator=(const NAME& o) { *(Loose*)this = *(const Loose*)&o; return *this; } \
    };
PAIR(__half2, __half)
PAIR(__nv_bfloat162, __nv_bfloat16)
#undef PAIR
typedef __half2 half2;
typedef __nv_bfloat162 nv_bfloat162;

#define OPERATOR(T, OP) \
    INLINE T operator OP(T a, T b) { return T((float)a OP (float)b); } INLINE T& operator OP##=(T& a, T b) { return a = T((float)a OP (float)b); }
#define COMPARE(T, OP) INLINE bool operator OP(T a, T b) { return (float)a OP (float)b; }
#define PAIRS(P, OP) INLINE P operator OP(P a, P b) { return P(a.x OP b.x, a.y OP b.y); } INLINE P& operator OP##=(P& a, P b) { return a = a OP b; }
#define NUMBER(T, P) \
    OPERATOR(T, +) OPERATOR(T, -) OPERATOR(T, *) OPERATOR(T, /) COMPARE(T, <) COMPARE(T, >) COMPARE(T, <=) COMPARE(T, >=) COMPARE(T, ==) COMPARE(T, !=) \
    PAIRS(P, +) PAIRS(P, -) PAIRS(P, *) PAIRS(P, /) \
    INLINE T operator-(T a) { return T(-(float)a); } \
    INLINE P operator-(P a) { return P(-a.x, -a.y); } \
    INLINE T __hadd(T a, T b) { return a + b; }  INLINE T __hsub(T a, T b) { return a - b; }  INLINE T __hmul(T a, T b) { return a * b; } \
    INLINE T __hdiv(T a, T b) { return a / b; }  INLINE T __hneg(T a) { return -a; }  INLINE T __habs(T a) { return T(fabsf((float)a)); } \
    INLINE T __hfma(T a, T b, T c) { return T(fmaf((float)a, (float)b, (float)c)); } \
    INLINE T __hmax(T a, T b) { return T(fmaxf((float)a, (float)b)); }  INLINE T __hmin(T a, T b) { return T(fminf((float)a, (float)b)); } \
    INLINE bool __heq(T a, T b) { return a == b; }  INLINE bool __hne(T a, T b) { return a != b; }  INLINE bool __hlt(T a, T b) { return a < b; } \
    INLINE bool __hgt(T a, T b) { return a > b; }  INLINE bool __hle(T a, T b) { return a <= b; }  INLINE bool __hge(T a, T b) { return a >= b; } \
    INLINE bool __hisnan(T a) { return (float)a != (float)a; }  INLINE int __hisinf(T a) { return isinf((float)a) ? ((float)a < 0 ? -1 : 1) : 0; } \
    INLINE T hexp(T a) { return T(expf((float)a)); }  INLINE T hlog(T a) { return T(logf((float)a)); }  INLINE T hsqrt(T a) { return T(sqrtf((float)a)); } \
    INLINE T hrsqrt(T a) { return T(1.0f / sqrtf((float)a)); }  INLINE T hrcp(T a) { return T(1.0f / (float)a); }  INLINE T hsin(T a) { return T(sinf((float)a)); } \
    INLINE T hcos(T a) { return T(cosf((float)a)); }  INLINE T hexp2(T a) { return T(exp2f((float)a)); }  INLINE T hlog2(T a) { return T(log2f((float)a)); } \
    INLINE T hfloor(T a) { return T(floorf((float)a)); }  INLINE T hceil(T a) { return T(ceilf((float)a)); }  INLINE T htanh(T a) { return T(tanhf((float)a)); } \
    INLINE P __hadd2(P a, P b) { return a + b; }  INLINE P __hsub2(P a, P b) { return a - b; }  INLINE P __hmul2(P a, P b) { return a * b; } \
    INLINE P __h2div(P a, P b) { return a / b; }  INLINE P __hneg2(P a) { return -a; } \
    INLINE P __hfma2(P a, P b, P c) { return P(__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)); } \
    INLINE P __hmax2(P a, P b) { return P(__hmax(a.x, b.x), __hmax(a.y, b.y)); }  INLINE P __hmin2(P a, P b) { return P(__hmin(a.x, b.x), __hmin(a.y, b.y)); } \
    INLINE P h2exp(P a) { return P(hexp(a.x), hexp(a.y)); }  INLINE P h2sqrt(P a) { return P(hsqrt(a.x), hsqrt(a.y)); } \
    INLINE float2 __pair_to_float2(P a) { return make_float2((float)a.x, (float)a.y); } \
    INLINE T atomicAdd(T* p, T v) { return cuda_on_host::atomic_update(p, [v](T a) { return a + v; }); } \
    INLINE P atomicAdd(P* p, P v) { P old; \
        old.whole = cuda_on_host::atomic_update(&p->whole, [v](unsigned w) { P a; a.whole = w; return (a + v).whole; }); return old; } \
    INLINE T __ldg(const T* p) { return *p; } \
    INLINE T __low2(P a) { return a.x; }
NUMBER(__half, __half2)
NUMBER(__nv_bfloat16, __nv_bfloat162)
#undef OPERATOR
#undef COMPARE
#undef PAIRS
#undef NUMBER

INLINE __half __float2half(float v) { return __half(v); }
INLINE __half __float2half_rn(float v) { return __half(v); }
INLINE __half __double2half(double v) { return __half(v); }
INLINE float __half2float(__half v) { return (float)v; }
INLINE __half __int2half_rn(int v) { return __half((float)v); }
INLINE __half __uint2half_rn(unsigned v) { return __half((float)v); }
INLINE int __half2int_rn(__half v) { return (int)rintf((float)v); }
INLINE int __half2int_rz(__half v) { return (int)(float)v; }
INLINE unsigned short __half_as_ushort(__half v) { unsigned short r; memcpy(&r, &v, 2); return r; }
INLINE __half __ushort_as_half(unsigned short v) { __half r; memcpy(&r, &v, 2); return r; }
INLINE short __half_as_short(__half v) { return (short)__half_as_ushort(v); }
INLINE __half __short_as_half(short v) { return __ushort_as_half((unsigned short)v); }
INLINE __half2 __floats2half2_rn(float a, float b) { return __half2(__half(a), __half(b)); }
INLINE __half2 __float22half2_rn(float2 v) { return __half2(__half(v.x), __half(v.y)); }
INLINE __half2 __float2half2_rn(float v) { return __half2(__half(v), __half(v)); }
INLINE __half2 __half2half2(__half v) { return __half2(v, v); }
INLINE __half2 __halves2half2(__half a, __half b) { return __half2(a, b); }
INLINE __half2 make_half2(__half a, __half b) { return __half2(a, b); }
INLINE float2 __half22float2(__half2 v) { return __pair_to_float2(v); }
INLINE float __low2float(__half2 v) { return (float)v.x; }
INLINE float __high2float(__half2 v) { return (float)v.y; }
INLINE __half __low2half(__half2 v) { return v.x; }
INLINE __half __high2half(__half2 v) { return v.y; }
INLINE __half2 __lowhigh2highlow(__half2 v) { return __half2(v.y, v.x); }
INLINE __nv_bfloat16 __float2bfloat16(float v) { return __nv_bfloat16(v); }
INLINE __nv_bfloat16 __float2bfloat16_rn(float v) { return __nv_bfloat16(v); }
INLINE __nv_bfloat16 __double2bfloat16(double v) { return __nv_bfloat16(v); }
INLINE float __bfloat162float(__nv_bfloat16 v) { return (float)v; }
INLINE __nv_bfloat162 __floats2bfloat162_rn(float a, float b) { return __nv_bfloat162(__nv_bfloat16(a), __nv_bfloat16(b)); }
INLINE __nv_bfloat162 __float22bfloat162_rn(float2 v) { return __floats2bfloat162_rn(v.x, v.y); }
INLINE __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 v) { return __nv_bfloat162(v, v); }
INLINE __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) { return __nv_bfloat162(a, b); }
INLINE float2 __bfloat1622float2(__nv_bfloat162 v) { return __pair_to_float2(v); }
INLINE unsigned short __bfloat16_as_ushort(__nv_bfloat16 v) { return v.value; }
INLINE __nv_bfloat16 __ushort_as_bfloat16(unsigned short v) { __nv_bfloat16 r; memcpy(&r, &v, 2); return r; }
INLINE float __low2float(__nv_bfloat162 v) { return (float)v.x; }
INLINE float __high2float(__nv_bfloat162 v) { return (float)v.y; }
#undef INLINE
