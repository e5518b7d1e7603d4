// CUDA's words in WebAssembly, for kernels whose threads never meet: a block is a loop over its threads.
//
// There is no stack to switch there, so no fiber: a kernel that waits at a barrier is refused before it comes here (build.py).
// One module runs one block at a time, so threadIdx and its kin are plain statics, as on the CPU device.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define __global__ __attribute__((internal_linkage))   // several texts in one module: only their launchers are seen from outside
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define HOST_INLINE static inline __attribute__((always_inline, unused))

struct uint3 { unsigned x, y, z; };
static uint3 threadIdx, blockIdx, blockDim, gridDim;

HOST_INLINE int max(int a, int b) { return a > b ? a : b; }
HOST_INLINE int min(int a, int b) { return a < b ? a : b; }
HOST_INLINE unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
HOST_INLINE unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
HOST_INLINE float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }

// Mathematics: instructions of WebAssembly, but for the fused multiply-add, which it lacks. The product is exact in a double; the
// sum is rounded to odd there, so that rounding it once more to a float gives what one rounding would have given.
namespace cuda_on_host {
HOST_INLINE float fused(float x, float y, float z) {
#pragma clang fp reassociate(off) contract(off)
    double product = (double)x * y, sum = product + z, of_z = sum - product;
    double lost = (product - (sum - of_z)) + (z - of_z);             // exactly what the sum left out
    long long bits = __builtin_bit_cast(long long, sum);
    if ((lost > 0 || lost < 0) && !(bits & 1)) bits += (lost > 0) == (sum > 0) ? 1 : -1;
    return (float)__builtin_bit_cast(double, bits);
}
}
#define memcpy __builtin_memcpy
#define sqrtf __builtin_sqrtf
#define rintf __builtin_rintf
#define fabsf __builtin_fabsf
#define copysignf __builtin_copysignf
#define fmaf(x, y, z) ((float)((double)(x) * (y) + (z)))   // for exp and tanh: rounded twice, which is lost in their own errors
#include "vector_math.hpp"
#undef fmaf
#define fmaf cuda_on_host::fused

// Calls `thread` for every thread of the grid, block by block.
template <class F> HOST_INLINE void over_grid(uint3 grid, uint3 block, F thread) {
    gridDim = grid;
    blockDim = block;
    for (unsigned bz = 0; bz < grid.z; bz++)
        for (unsigned by = 0; by < grid.y; by++)
            for (unsigned bx = 0; bx < grid.x; bx++) {
                blockIdx = {bx, by, bz};
                for (unsigned z = 0; z < block.z; z++)
                    for (unsigned y = 0; y < block.y; y++)
                        for (unsigned x = 0; x < block.x; x++) {
                            threadIdx = {x, y, z};
                            thread();
                        }
            }
}
