// The check build: the same text, and every access of it watched. instrument.py turns the compiler's thread-sanitizer calls into
// calls of check.cpp, one number a place in the source; here stands what the text itself must know of it.
#pragma once
#define WATCHED
#define LAUNCH_STACK_BYTES (1 << 20)               // CUDA allows 512 KiB of local memory a thread; check.cpp has the same
#define LAUNCH_STACK_ROOM (64 << 20)
extern "C" {
struct CheckImage {                                // what check.cpp needs to know of an image
    unsigned* fiber_now;
    unsigned char* fiber_state;
    char** stacks;
    void (*run_fiber)(unsigned);
    void (*stop)();
};
void check_block_begin(const CheckImage*, const unsigned* grid, const unsigned* block, unsigned x, unsigned y, unsigned z);
bool check_block_end();
__attribute__((convergent)) void check_barrier(const char* file, int line);      // which makes its callers so, too
__attribute__((convergent)) void check_meeting(unsigned first, unsigned mask);
void check_fence(bool device);
void check_stuck(unsigned thread, unsigned other);
}
#define CONVERGENT __attribute__((convergent))    // threads that meet at one line stand in one basic block, or in other rounds of a loop
#define WATCH_BLOCK() check_block_begin(watched_image(), launch->grid, launch->block, blockIdx.x, blockIdx.y, blockIdx.z)
#define WATCH_BLOCK_END() (check_block_end() ? (void)(((Launch*)launch)->failed = 1) : (void)0)
#define WATCH_BARRIER(file, line) check_barrier(file, line)
#define WATCH_MEETING(first, mask) check_meeting(first, mask)
#define WATCH_STUCK(thread, other) check_stuck(thread, other)
#define __threadfence() check_fence(true)
#define __threadfence_system() check_fence(true)
#define __threadfence_block() check_fence(false)

// Vectors that move as one: an ordinary struct's copy would be taken apart into its members before it is watched.
#define WATCHED_VECTOR(T, NAME, N, ALIGN, MEMBERS, PARAMETERS, VALUES) \
    struct alignas(ALIGN) NAME##N { \
        typedef T Whole __attribute__((vector_size(N * sizeof(T)), aligned(ALIGN))); \
        union { struct { T MEMBERS; }; Whole whole; }; \
        NAME##N() = default; \
        constexpr NAME##N(PARAMETERS) : whole{VALUES} {} \
        HOST_FORCED NAME##N(const NAME##N& other) : whole(other.whole) {} \
        HOST_FORCED NAME##N& operator=(const NAME##N& other) { whole = other.whole; return *this; } \
    }; \
    HOST_INLINE NAME##N make_##NAME##N(PARAMETERS) { return NAME##N(VALUES); }
#define WATCHED_LIST(...) __VA_ARGS__
#define HOST_FORCED inline __attribute__((always_inline))
#define VECTOR2(T, NAME) WATCHED_VECTOR(T, NAME, 2, 2 * sizeof(T), WATCHED_LIST(x, y), WATCHED_LIST(T a, T b), WATCHED_LIST(a, b))
#define VECTOR4(T, NAME) WATCHED_VECTOR(T, NAME, 4, (sizeof(T) > 4 ? 16 : 4 * sizeof(T)), WATCHED_LIST(x, y, z, w), \
                                        WATCHED_LIST(T a, T b, T c, T d), WATCHED_LIST(a, b, c, d))

namespace cuda_on_host { static const CheckImage* watched_image(); }
#pragma clang attribute push(__attribute__((no_sanitize("thread", "coverage"))), apply_to = function)
#include "cuda_on_host.hpp"
namespace cuda_on_host {
__attribute__((used)) static unsigned char* watched_dynamic = dynamic_shared;   // known abroad: what nobody writes is not taken for zeros
static void stop_launch() { fiber_error("stopped"); }
static const CheckImage* watched_image() {
    static const CheckImage image = {&fiber_now, (unsigned char*)fiber_state, &fiber_stacks, run_fiber, stop_launch};
    return &image;
}
}
#pragma clang attribute pop

#undef expf                                        // one call each, so that it counts as one operation
#undef tanhf
#undef __shared__
#define __shared__ static __attribute__((used, section("cuda_shared")))    // instrument.py finds them by the section's name
#undef __constant__
#define __constant__ static __attribute__((used, section("cuda_constant")))
#undef __global__
#define __global__ __attribute__((flatten, noinline))   // one function, whose parameters are the arrays' names
