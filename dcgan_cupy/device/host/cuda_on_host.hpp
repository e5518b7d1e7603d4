// CUDA's words, given a meaning on a CPU. A .cu text is compiled behind this header by an ordinary C++ compiler.
//
// One copy of the compiled object (an "image") serves one worker thread and runs one block at a time. So everything a
// block owns can be a plain static of the image: threadIdx and its kin (no pointer to them escapes, so the compiler may
// keep them in registers and vectorise over threads) and every __shared__ array.
//
// A kernel without barriers is a loop over its threads: run_loop. One with barriers or warp collectives runs each thread as
// a fiber, a stack of its own: run_fibers. A fiber that arrives at a barrier hands the core to the next one that can run.
//
// Only C headers here: no C++ library is needed to compile or to load an image.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "launch.h"

// ---------------------------------------------------------------------------------------------------------------------
// Qualifiers
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
#define HOST_INLINE static inline __attribute__((always_inline, unused))
#ifndef WATCHED                                    // check.hpp: a build that watches every access, and these moments
#define CONVERGENT                                 // never copied into two branches of one
#define WATCH_BLOCK()                              // a block begins
#define WATCH_BLOCK_END()
#define WATCH_BARRIER(file, line)                  // every thread of the block has arrived
#define WATCH_MEETING(first, mask)                 // the lanes of `mask` have met; `first` is the warp's first thread
#define WATCH_STUCK(thread, other)                 // one waits for ever, because of the other
#endif
#if defined(__OPTIMIZE__) && !defined(WATCHED)
#define FLATTEN __attribute__((flatten))           // the kernel and its device functions are inlined into the loop over threads
#else
#define FLATTEN                                    // a debug build keeps them apart, so that a debugger can stop in them
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Vector types, with CUDA's alignment
#ifndef WATCHED
#define VECTOR2(T, NAME) struct alignas(2 * sizeof(T)) NAME##2 { T x, y; }; \
    HOST_INLINE NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }
#define VECTOR4(T, NAME) struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) NAME##4 { T x, y, z, w; }; \
    HOST_INLINE NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#endif
#define VECTOR3(T, NAME) struct NAME##3 { T x, y, z; }; \
    HOST_INLINE NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }
#define VECTORS(T, NAME) VECTOR2(T, NAME) VECTOR3(T, NAME) VECTOR4(T, NAME)
VECTORS(float, float)
VECTORS(int, int)
VECTORS(unsigned int, uint)
VECTORS(short, short)
VECTORS(unsigned short, ushort)
VECTORS(signed char, char)
VECTORS(unsigned char, uchar)
VECTORS(double, double)
VECTORS(long long, longlong)
VECTORS(unsigned long long, ulonglong)
#undef VECTORS
#undef VECTOR2
#undef VECTOR3
#undef VECTOR4

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

// Dynamic shared memory: `extern __shared__ T name[];` is rewritten (launch.py, CpuKernel) to
// `T* const name = (T*)cuda_on_host::dynamic_shared;`
namespace cuda_on_host { alignas(128) static unsigned char dynamic_shared[LAUNCH_MAX_SHARED]; }

// ---------------------------------------------------------------------------------------------------------------------
// Mathematics: what <math.h> does not already name
HOST_INLINE float rsqrtf(float x) { return 1.0f / sqrtf(x); }
HOST_INLINE double rsqrt(double x) { return 1.0 / sqrt(x); }
#include "vector_math.hpp"
// The C library owns these names as functions; the GPU's are less exact than its expf, logf, …, ours are those.
#define __expf(x) expf(x)
#define __logf logf
#define __sinf sinf
#define __cosf cosf
#define __powf powf
HOST_INLINE float __fdividef(float x, float y) { return x / y; }
HOST_INLINE float __frcp_rn(float x) { return 1.0f / x; }
HOST_INLINE float __fsqrt_rn(float x) { return sqrtf(x); }
HOST_INLINE float __fdiv_rn(float x, float y) { return x / y; }
HOST_INLINE float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
#if defined(__aarch64__)
#define FLOAT_REGISTER "+w"
#else
#define FLOAT_REGISTER "+x"
#endif
HOST_INLINE float __fmul_rn(float x, float y) {   // one rounding: the empty statement keeps it out of a fused multiply-add
    float r = x * y;
    __asm__("" : FLOAT_REGISTER(r));
    return r;
}
HOST_INLINE float __fadd_rn(float x, float y) { return x + y; }
HOST_INLINE float __fsub_rn(float x, float y) { return x - y; }
HOST_INLINE float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }   // NaN gives 0, as on a GPU
#define MAX_MIN(T, A, B) HOST_INLINE T max(A a, B b) { return (T)a > (T)b ? (T)a : (T)b; } \
    HOST_INLINE T min(A a, B b) { return (T)a < (T)b ? (T)a : (T)b; }
#define MAX_MIN_MIXED(S, U) MAX_MIN(S, S, S) MAX_MIN(U, U, U) MAX_MIN(U, S, U) MAX_MIN(U, U, S)   // CUDA's rule: unsigned wins
MAX_MIN_MIXED(int, unsigned)
MAX_MIN_MIXED(long, unsigned long)
MAX_MIN_MIXED(long long, unsigned long long)
#undef MAX_MIN_MIXED
#undef MAX_MIN
HOST_INLINE float max(float a, float b) { return fmaxf(a, b); }
HOST_INLINE float min(float a, float b) { return fminf(a, b); }
HOST_INLINE double max(double a, double b) { return fmax(a, b); }
HOST_INLINE double min(double a, double b) { return fmin(a, b); }

HOST_INLINE int __popc(unsigned x) { return __builtin_popcount(x); }
HOST_INLINE int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
HOST_INLINE int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
HOST_INLINE int __ffs(int x) { return __builtin_ffs(x); }
HOST_INLINE unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
HOST_INLINE int __mulhi(int a, int b) { return (int)(((long long)a * b) >> 32); }
HOST_INLINE unsigned __brev(unsigned x) {
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}
HOST_INLINE float __int_as_float(int x) { float r; memcpy(&r, &x, 4); return r; }
HOST_INLINE int __float_as_int(float x) { int r; memcpy(&r, &x, 4); return r; }
HOST_INLINE float __uint_as_float(unsigned x) { float r; memcpy(&r, &x, 4); return r; }
HOST_INLINE unsigned __float_as_uint(float x) { unsigned r; memcpy(&r, &x, 4); return r; }
HOST_INLINE int __float2int_rn(float x) { return (int)rintf(x); }
HOST_INLINE int __float2int_rz(float x) { return (int)x; }
HOST_INLINE int __float2int_rd(float x) { return (int)floorf(x); }
HOST_INLINE int __float2int_ru(float x) { return (int)ceilf(x); }
HOST_INLINE float __int2float_rn(int x) { return (float)x; }
HOST_INLINE float __uint2float_rn(unsigned x) { return (float)x; }
template <class T> HOST_INLINE T __ldg(const T* p) { return *p; }
template <class T> HOST_INLINE T __ldcs(const T* p) { return *p; }
template <class T> HOST_INLINE void __stcs(T* p, T v) { *p = v; }

// ---------------------------------------------------------------------------------------------------------------------
// Atomics. Blocks run on different cores, so these are the processor's own.
namespace cuda_on_host {
template <class T> struct same { typedef T type; };   // keeps the second argument out of template deduction, as CUDA's overloads do
template <class T, class F> HOST_INLINE T atomic_update(T* p, F f) {
    T old, next;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do next = f(old);
    while (!__atomic_compare_exchange(p, &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
}
#define ATOMIC(NAME, NEXT) template <class T> HOST_INLINE T NAME(T* p, typename cuda_on_host::same<T>::type v) { \
        return cuda_on_host::atomic_update(p, [v](T a) { return (T)(NEXT); }); \
    }
ATOMIC(atomicAdd, a + v)
ATOMIC(atomicSub, a - v)
ATOMIC(atomicMax, a > v ? a : v)
ATOMIC(atomicMin, a < v ? a : v)
ATOMIC(atomicAnd, a & v)
ATOMIC(atomicOr, a | v)
ATOMIC(atomicXor, a ^ v)
ATOMIC(atomicExch, v)
#undef ATOMIC
template <class T> HOST_INLINE T atomicCAS(T* p, typename cuda_on_host::same<T>::type expected, typename cuda_on_host::same<T>::type v) {
    T old = expected;
    __atomic_compare_exchange(p, &old, &v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return old;
}
HOST_INLINE unsigned atomicInc(unsigned* p, unsigned top) {
    return cuda_on_host::atomic_update(p, [top](unsigned a) { return a >= top ? 0u : a + 1u; });
}
#ifndef WATCHED
HOST_INLINE void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
HOST_INLINE void __threadfence_block() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Fibers. What a kernel's text does not name itself lives in a namespace, out of the way of its names.
#include <stdarg.h>
#if defined(DCGAN_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))
#include <ucontext.h>
#endif

namespace cuda_on_host {

enum FiberState : unsigned char { READY, AT_BARRIER, AT_WARP, DONE, AT_ACTIVE };   // AT_ACTIVE: asks which lanes run with it

struct Fiber {
    void* sp;                        // saved stack pointer, or the ucontext
    const char* file;                // where it waits
    int line;
    const char* what;                // the primitive it waits in
    unsigned mask;                   // lanes that meet there (warp collectives)
    unsigned long long in, out;      // what it brings to the collective, what it takes away
    int lane_or_delta;               // source lane, or distance, of a shuffle
    int width;
};

static Fiber fibers[1024];
static FiberState fiber_state[1024];
static uint3 fiber_thread[1024];     // threadIdx of each
static unsigned fiber_count, fiber_now, fibers_at_barrier;
static const Launch* the_launch;
static bool in_fibers;
static void* scheduler_sp;
static char* fiber_stacks;           // stack i starts at i * LAUNCH_STACK_STRIDE and grows down to there

static void fiber_main();

#if !defined(DCGAN_UCONTEXT) && defined(__x86_64__)
// Saves the six registers a callee must keep, and the stack pointer; takes up the other stack. No system call.
extern "C" void switch_stack(void** save, void* load);
__asm__(
    ".text\n.p2align 4\n.hidden switch_stack\n.globl switch_stack\n.type switch_stack,@function\nswitch_stack:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
    ".size switch_stack, .-switch_stack\n");
static void prepare_stack(Fiber* f, char* low, size_t bytes) {
    void** top = (void**)((uintptr_t)(low + bytes) & ~(uintptr_t)63);
    *--top = nullptr;                             // return address of fiber_main, never used; keeps the ABI's alignment
    *--top = (void*)fiber_main;
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f->sp = top;
}
#elif !defined(DCGAN_UCONTEXT) && defined(__aarch64__)
extern "C" void switch_stack(void** save, void* load);
__asm__(
    ".text\n.p2align 4\n.hidden switch_stack\n.globl switch_stack\n.type switch_stack,%function\nswitch_stack:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n  ret\n"
    ".size switch_stack, .-switch_stack\n");
static void prepare_stack(Fiber* f, char* low, size_t bytes) {
    char* top = (char*)((uintptr_t)(low + bytes) & ~(uintptr_t)63) - 160;
    memset(top, 0, 160);
    *(void**)(top + 88) = (void*)fiber_main;      // x30, the return address
    f->sp = top;
}
#else
static ucontext_t contexts[1025];                 // the last one is the scheduler's
static void switch_stack(void** save, void* load) {
    ucontext_t* from = save == &scheduler_sp ? &contexts[1024] : &contexts[(Fiber*)save - fibers];
    swapcontext(from, (ucontext_t*)load);
}
static void prepare_stack(Fiber* f, char* low, size_t bytes) {
    ucontext_t* c = &contexts[f - fibers];
    getcontext(c);
    c->uc_stack.ss_sp = low;
    c->uc_stack.ss_size = bytes;
    c->uc_link = nullptr;
    makecontext(c, fiber_main, 0);
    f->sp = c;
    scheduler_sp = &contexts[1024];
}
#endif

#define CANARY 0xdc6a9c0ffee15badull              // stands at the low end of each stack: overwritten means the stack was too small

static void fiber_error(const char* format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fiber_error(const char* format, ...) {
    va_list list;
    va_start(list, format);
    launch_failed(the_launch, format, list);      // keeps the first error of a launch
    va_end(list);
    in_fibers = false;
    switch_stack(&fibers[fiber_now].sp, scheduler_sp);   // the fibers of this block are abandoned where they stand
    abort();
}

#define THREAD_FORMAT "thread (%u, %u, %u) of block (%u, %u, %u)"
#define THREAD_ARGS(i) fiber_thread[i].x, fiber_thread[i].y, fiber_thread[i].z, blockIdx.x, blockIdx.y, blockIdx.z

static void explain_stuck();

// Which lanes run together: those of a warp that ask at the same line once nobody else can go on. Returns the first, or fiber_count.
static unsigned wake_active() {
    unsigned first = 0;
    while (first < fiber_count && fiber_state[first] != AT_ACTIVE) first++;
    if (first == fiber_count) return first;
    unsigned warp = first & ~31u, mask = 0, last = warp + 32 < fiber_count ? warp + 32 : fiber_count;
    for (unsigned i = first; i < last; i++)
        if (fiber_state[i] == AT_ACTIVE && fibers[i].line == fibers[first].line) mask |= 1u << (i - warp);
    for (unsigned i = first; i < last; i++)
        if (mask >> (i - warp) & 1) { fibers[i].mask = mask; fiber_state[i] = READY; }
    return first;
}

// The next fiber that can run, in order of thread number; past the last one the barrier opens, or nobody can go on.
static unsigned next_fiber() {
    for (unsigned i = fiber_now + 1; i < fiber_count; i++) if (fiber_state[i] == READY) return i;
    for (unsigned i = 0; i <= fiber_now; i++) if (fiber_state[i] == READY) return i;
    unsigned i = wake_active();
    if (i == fiber_count) explain_stuck();
    return i;
}

static void run_fiber(unsigned i) {
    void** save = &fibers[fiber_now].sp;
    fiber_now = i;
    threadIdx = fiber_thread[i];
    switch_stack(save, fibers[i].sp);
}

static void explain_stuck() {
    unsigned done = fiber_count, warp = fiber_count, barrier = fiber_count, other = fiber_count;
    for (unsigned i = fiber_count; i-- > 0;) {
        if (fiber_state[i] == DONE) done = i;
        if (fiber_state[i] == AT_WARP) warp = i;
        if (fiber_state[i] == AT_BARRIER) barrier = i;
    }
    for (unsigned i = fiber_count; i-- > 0;)
        if (fiber_state[i] == AT_BARRIER && fibers[i].line != fibers[barrier].line) other = i;
    if (warp < fiber_count) {
        const Fiber& w = fibers[warp];
        unsigned first = warp & ~31u;
        for (unsigned lane = 0; lane < 32 && first + lane < fiber_count; lane++) {
            unsigned i = first + lane;
            if (!(w.mask >> lane & 1) || (fiber_state[i] == AT_WARP && fibers[i].line == w.line)) continue;
            WATCH_STUCK(warp, i);
            if (fiber_state[i] == DONE)
                fiber_error("%s:%d: kernel %s: %s waits for lane %u, which its mask 0x%08x names, but " THREAD_FORMAT " has returned",
                            w.file, w.line, the_launch->name, w.what, lane, w.mask, THREAD_ARGS(i));
            fiber_error("%s:%d: kernel %s: %s waits for lane %u, which its mask 0x%08x names, but " THREAD_FORMAT " waits in %s at line %d",
                        w.file, w.line, the_launch->name, w.what, lane, w.mask, THREAD_ARGS(i), fibers[i].what, fibers[i].line);
        }
    }
    WATCH_STUCK(barrier, done < fiber_count ? done : other);
    if (done < fiber_count)
        fiber_error("%s:%d: kernel %s: __syncthreads() waits for every thread of the block, but " THREAD_FORMAT " has returned",
                    fibers[barrier].file, fibers[barrier].line, the_launch->name, THREAD_ARGS(done));
    if (other < fiber_count)
        fiber_error("%s:%d: kernel %s: " THREAD_FORMAT " waits at this __syncthreads(), but " THREAD_FORMAT " waits at another, line %d",
                    fibers[barrier].file, fibers[barrier].line, the_launch->name, THREAD_ARGS(barrier), THREAD_ARGS(other), fibers[other].line);
    fiber_error("kernel %s: no thread of block (%u, %u, %u) can go on", the_launch->name, blockIdx.x, blockIdx.y, blockIdx.z);
}

static void need_fibers(const char* what, const char* file, int line) {
    if (in_fibers) return;
    fprintf(stderr, "%s:%d: %s reached in a kernel that was compiled as barrier-free\n", file, line, what);
    abort();
}

// A thread that stands below its stack has overwritten its neighbours': none of them may run again.
HOST_INLINE void need_stack(const char* file, int line) {
    if ((char*)__builtin_frame_address(0) < fiber_stacks + (size_t)fiber_now * LAUNCH_STACK_STRIDE)
        fiber_error("%s:%d: kernel %s: " THREAD_FORMAT " needs more than %d bytes of stack",
                    file, line, the_launch->name, THREAD_ARGS(fiber_now), LAUNCH_STACK_BYTES);
}

static unsigned barrier_line_first, barrier_line_differs;
static int barrier_votes, barrier_result;

// Waits until every thread of the block is here; all must be at the same line. Returns how many came with vote != 0.
static __attribute__((noinline)) CONVERGENT int wait_at_barrier(int vote, const char* what, const char* file, int line) {
    need_fibers(what, file, line);
    need_stack(file, line);
    Fiber& f = fibers[fiber_now];
    f.file = file;
    f.line = line;
    f.what = what;
    if (fibers_at_barrier == 0) { barrier_line_first = line; barrier_line_differs = 0; barrier_votes = 0; }
    barrier_line_differs |= barrier_line_first ^ (unsigned)line;
    barrier_votes += vote != 0;
    fiber_state[fiber_now] = AT_BARRIER;
    if (++fibers_at_barrier == fiber_count) {                     // the last one opens it
        if (barrier_line_differs) explain_stuck();
        fibers_at_barrier = 0;
        barrier_result = barrier_votes;
        WATCH_BARRIER(file, line);
        memset(fiber_state, READY, fiber_count);
        if (fiber_now != 0) run_fiber(0);
    } else {
        unsigned i = next_fiber();
        run_fiber(i);
    }
    return barrier_result;
}
// No parenthesis around it: with one, a semicolon missing on the line before would make it the arguments of a call.
#define __syncthreads() cuda_on_host::wait_at_barrier(0, "__syncthreads()", __FILE__, __LINE__)
#define __syncthreads_count(p) cuda_on_host::wait_at_barrier((p) != 0, "__syncthreads_count()", __FILE__, __LINE__)
#define __syncthreads_or(p) (cuda_on_host::wait_at_barrier((p) != 0, "__syncthreads_or()", __FILE__, __LINE__) != 0)
#define __syncthreads_and(p) (cuda_on_host::wait_at_barrier((p) == 0, "__syncthreads_and()", __FILE__, __LINE__) == 0)

// A warp collective acts when the last lane its mask names has arrived: then, and only then, `act` reads every lane's
// `in` and writes every lane's `out`. Lanes past the end of a ragged block do not exist and are not waited for.
typedef void (*WarpAction)(Fiber* lanes, unsigned mask);
static __attribute__((noinline)) CONVERGENT unsigned long long warp_meet(
        unsigned mask, unsigned long long in, int lane_or_delta, int width, WarpAction act, const char* what, const char* file, int line) {
    need_fibers(what, file, line);
    need_stack(file, line);
    unsigned first = fiber_now & ~31u, lane = fiber_now & 31u;
    Fiber* lanes = fibers + first;
    Fiber& f = fibers[fiber_now];
    f.file = file; f.line = line; f.what = what; f.mask = mask; f.in = in; f.lane_or_delta = lane_or_delta; f.width = width;
    if (!(mask >> lane & 1))
        fiber_error("%s:%d: kernel %s: " THREAD_FORMAT " calls %s with mask 0x%08x, which leaves out its own lane %u",
                    file, line, the_launch->name, THREAD_ARGS(fiber_now), what, mask, lane);
    unsigned exist = fiber_count - first >= 32 ? 0xffffffffu : (1u << (fiber_count - first)) - 1u;
    fiber_state[fiber_now] = AT_WARP;
    bool complete = true;
    for (unsigned i = 0; i < 32 && complete; i++)
        if (mask & exist & (1u << i))
            complete = fiber_state[first + i] == AT_WARP && lanes[i].line == line && lanes[i].mask == mask && lanes[i].what == what;
    if (complete) {
        act(lanes, mask & exist);
        WATCH_MEETING(first, mask & exist);
        for (unsigned i = 0; i < 32; i++) if (mask & exist & (1u << i)) fiber_state[first + i] = READY;
    } else {
        unsigned i = next_fiber();
        run_fiber(i);
    }
    return fibers[first + lane].out;
}

static void act_nothing(Fiber*, unsigned) {}
static void act_ballot(Fiber* lanes, unsigned mask) {
    unsigned votes = 0;
    for (int i = 0; i < 32; i++) if (mask >> i & 1) votes |= (unsigned)(lanes[i].in != 0) << i;
    for (int i = 0; i < 32; i++) if (mask >> i & 1) lanes[i].out = votes;
}
// A shuffle reads inside its own group of `width` lanes; where the source falls outside, a lane keeps its own value.
template <int KIND> static void act_shuffle(Fiber* lanes, unsigned mask) {       // 0 index, 1 up, 2 down, 3 xor
    for (int i = 0; i < 32; i++) {
        if (!(mask >> i & 1)) continue;
        int d = lanes[i].lane_or_delta, width = lanes[i].width, base = i & ~(width - 1), src = i;
        if (KIND == 0) src = base + (d & (width - 1));
        if (KIND == 1) src = i - d >= base ? i - d : i;
        if (KIND == 2) src = i + d < base + width ? i + d : i;
        if (KIND == 3) src = (i ^ d) < base + width ? i ^ d : i;
        lanes[i].out = mask >> src & 1 ? lanes[src].in : 0xdeadbeefdeadbeefull;  // a lane that is not there: undefined, so poison
    }
}
template <class T> HOST_INLINE unsigned long long to_bits(T v) {
    static_assert(sizeof(T) <= 8, "warp collectives move up to 8 bytes a lane");
    unsigned long long bits = 0;
    memcpy(&bits, &v, sizeof(T));
    return bits;
}
template <class T> HOST_INLINE T from_bits(unsigned long long bits) { T v; memcpy(&v, &bits, sizeof(T)); return v; }
template <int KIND, class T> HOST_INLINE T shuffle(const char* what, const char* file, int line, unsigned mask, T v, int d, int width = 32) {
    return from_bits<T>(warp_meet(mask, to_bits(v), d, width, act_shuffle<KIND>, what, file, line));
}
#define __shfl_sync(...) cuda_on_host::shuffle<0>("__shfl_sync()", __FILE__, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) cuda_on_host::shuffle<1>("__shfl_up_sync()", __FILE__, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) cuda_on_host::shuffle<2>("__shfl_down_sync()", __FILE__, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) cuda_on_host::shuffle<3>("__shfl_xor_sync()", __FILE__, __LINE__, __VA_ARGS__)
#define __ballot_sync(mask, p) ((unsigned)cuda_on_host::warp_meet(mask, (p) != 0, 0, 32, cuda_on_host::act_ballot, "__ballot_sync()", __FILE__, __LINE__))
#define __any_sync(mask, p) (__ballot_sync(mask, p) != 0u)
#define __all_sync(mask, p) (__ballot_sync(mask, !(p)) == 0u)
HOST_INLINE void sync_warp(const char* file, int line, unsigned mask = 0xffffffffu) { warp_meet(mask, 0, 0, 32, act_nothing, "__syncwarp()", file, line); }
#define __syncwarp(...) cuda_on_host::sync_warp(__FILE__, __LINE__, ##__VA_ARGS__)
static __attribute__((noinline)) unsigned lanes_here(const char* file, int line) {
    need_fibers("__activemask()", file, line);
    Fiber& f = fibers[fiber_now];
    f.file = file;
    f.line = line;
    f.what = "__activemask()";
    fiber_state[fiber_now] = AT_ACTIVE;
    unsigned me = fiber_now, i = next_fiber();
    if (i != me) run_fiber(i);
    return fibers[me].mask;
}
#define __activemask() cuda_on_host::lanes_here(__FILE__, __LINE__)

// ---------------------------------------------------------------------------------------------------------------------
// Launching. `Kernel<F>::run` runs blocks [first, last) of a launch of F.
static void (*fiber_body)();
static unsigned blocks_placed;                    // tells one block from the next

static void fiber_main() {
    fiber_body();
    fiber_state[fiber_now] = DONE;
    unsigned i = fiber_now + 1;
    while (i < fiber_count && fiber_state[i] != READY) i++;
    if (i == fiber_count) for (i = 0; i < fiber_count && fiber_state[i] != READY; i++) {}
    if (i == fiber_count) i = wake_active();
    if (i == fiber_count) {                                       // nobody can run: all have returned, or some wait in vain
        for (i = 0; i < fiber_count && fiber_state[i] == DONE; i++) {}
        if (i < fiber_count) explain_stuck();
        in_fibers = false;
        switch_stack(&fibers[fiber_now].sp, scheduler_sp);
    }
    run_fiber(i);
    abort();
}

template <int... I> struct Indices {};
template <int N, int... I> struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <int... I> struct MakeIndices<0, I...> { typedef Indices<I...> type; };

template <auto F> struct Kernel;
template <class... P, void (*F)(P...)> struct Kernel<F> {
    typedef typename MakeIndices<sizeof...(P)>::type All;

    template <int... I> static inline __attribute__((always_inline)) void call(Indices<I...>) { F(*(P*)the_launch->arguments[I]...); }
    FLATTEN static void body() { call(All()); }

    static void place(const Launch* launch, unsigned long long block) {
        the_launch = launch;
        blocks_placed++;
        gridDim = dim3(launch->grid[0], launch->grid[1], launch->grid[2]);
        blockDim = dim3(launch->block[0], launch->block[1], launch->block[2]);
        blockIdx.x = (unsigned)(block % gridDim.x);
        blockIdx.y = (unsigned)(block / gridDim.x % gridDim.y);
        blockIdx.z = (unsigned)(block / gridDim.x / gridDim.y);
    }

    template <int... I> static void loop(const Launch* launch, unsigned long long first, unsigned long long last, Indices<I...>) {
        for (unsigned long long block = first; block < last; block++) {
            place(launch, block);
            over_threads(*(P*)launch->arguments[I]...);
        }
    }
    FLATTEN static void over_threads(P... p) {                            // parameters in registers, threadIdx a value the optimiser sees
        const unsigned nx = blockDim.x, ny = blockDim.y, nz = blockDim.z;
        for (unsigned z = 0; z < nz; z++)
            for (unsigned y = 0; y < ny; y++)
                for (unsigned x = 0; x < nx; x++) {
                    threadIdx.x = x;
                    threadIdx.y = y;
                    threadIdx.z = z;
                    F(p...);
                }
    }
    static void run_loop(const Launch* launch, unsigned long long first, unsigned long long last, char*) {
        loop(launch, first, last, All());
    }

    static void run_fibers(const Launch* launch, unsigned long long first, unsigned long long last, char* stacks) {
        fiber_body = body;
        fiber_stacks = stacks;
        fiber_count = launch->block[0] * launch->block[1] * launch->block[2];
        for (unsigned i = 0; i < fiber_count; i++)
            fiber_thread[i] = {i % launch->block[0], i / launch->block[0] % launch->block[1], i / launch->block[0] / launch->block[1]};
        const unsigned long long most = (unsigned long long)launch->most_blocks;
        for (unsigned long long block = first; block < last && !launch->failed; block++) {
            if (most && block >= most - most / 2 && block + most / 2 < last) continue;      // the first and the last ones only
            place(launch, block);
            memset(fiber_state, READY, fiber_count);
            fibers_at_barrier = 0;
            for (unsigned i = 0; i < fiber_count; i++) {
                char* low = stacks + (size_t)i * LAUNCH_STACK_STRIDE;
                *(volatile unsigned long long*)low = CANARY;
                prepare_stack(&fibers[i], low, LAUNCH_STACK_BYTES);
            }
            in_fibers = true;
            fiber_now = 0;
            threadIdx = fiber_thread[0];
            WATCH_BLOCK();
            switch_stack(&scheduler_sp, fibers[0].sp);
            WATCH_BLOCK_END();
            in_fibers = false;
            for (unsigned i = 0; i < fiber_count && !launch->failed; i++)
                if (*(volatile unsigned long long*)(stacks + (size_t)i * LAUNCH_STACK_STRIDE) != CANARY) {
                    fprintf(stderr, "kernel %s: a thread needs more than %d bytes of stack\n", launch->name, LAUNCH_STACK_BYTES);
                    abort();                                      // the neighbour's stack is overwritten: nothing can be trusted
                }
        }
    }
};

}   // namespace cuda_on_host
