// Denormals flushed to zero for the time of a launch, as CuPy's kernels do on a GPU (-ftz=true); and the core told of a short wait.
#pragma once
#if defined(__x86_64__)
#include <immintrin.h>
static unsigned long long flush_denormals() { unsigned old = _mm_getcsr(); _mm_setcsr(old | 0x8040); return old; }
static void restore_denormals(unsigned long long old) { _mm_setcsr((unsigned)old); }
static void relax() { _mm_pause(); }
#elif defined(__aarch64__)
static unsigned long long flush_denormals() {
    unsigned long long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" ::"r"(old | (1ull << 24)));
    return old;
}
static void restore_denormals(unsigned long long old) { __asm__ volatile("msr fpcr, %0" ::"r"(old)); }
static void relax() { __asm__ volatile("yield"); }
#else
static unsigned long long flush_denormals() { return 0; }
static void restore_denormals(unsigned long long) {}
static void relax() {}
#endif
