// cuComplex.h and cuFFT's types on a CPU. Included for texts that name them and declare none of their own.
#pragma once
typedef float cufftReal;
typedef double cufftDoubleReal;
typedef float2 cuFloatComplex, cuComplex, cufftComplex;
typedef double2 cuDoubleComplex, cufftDoubleComplex;
#define COMPLEX(T, REAL, MADE, F) \
    HOST_INLINE T make_##MADE(REAL x, REAL y) { T v; v.x = x; v.y = y; return v; } \
    HOST_INLINE REAL cuCreal##F(T a) { return a.x; } \
    HOST_INLINE REAL cuCimag##F(T a) { return a.y; } \
    HOST_INLINE T cuConj##F(T a) { return make_##MADE(a.x, -a.y); } \
    HOST_INLINE T cuCadd##F(T a, T b) { return make_##MADE(a.x + b.x, a.y + b.y); } \
    HOST_INLINE T cuCsub##F(T a, T b) { return make_##MADE(a.x - b.x, a.y - b.y); } \
    HOST_INLINE T cuCmul##F(T a, T b) { return make_##MADE(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); } \
    HOST_INLINE T cuCfma##F(T a, T b, T c) { return cuCadd##F(cuCmul##F(a, b), c); } \
    HOST_INLINE REAL cuCabs##F(T a) { return hypot##F(a.x, a.y); } \
    HOST_INLINE T cuCdiv##F(T a, T b) { \
        REAL n = b.x * b.x + b.y * b.y; \
        return make_##MADE((a.x * b.x + a.y * b.y) / n, (a.y * b.x - a.x * b.y) / n); \
    }
COMPLEX(cuFloatComplex, float, cuFloatComplex, f)
COMPLEX(cuDoubleComplex, double, cuDoubleComplex, )
HOST_INLINE cuComplex make_cuComplex(float x, float y) { return make_cuFloatComplex(x, y); }
#undef COMPLEX
