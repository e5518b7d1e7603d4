// What the pool and the images agree on: one launch, and the function that runs some of its blocks.
#pragma once
#include <stdarg.h>
#include <stdio.h>

#define LAUNCH_MAX_SHARED (227 * 1024)             // dynamic shared memory, the most that any current GPU gives a block
#ifndef LAUNCH_STACK_BYTES
#define LAUNCH_STACK_BYTES (64 * 1024)             // one fiber's stack
#endif
// Stacks a multiple of 4 KiB apart would have all their hot ends in the same cache sets: shift each by 17 lines.
#define LAUNCH_STACK_STRIDE (LAUNCH_STACK_BYTES + 17 * 64)
#ifndef LAUNCH_STACK_ROOM
#define LAUNCH_STACK_ROOM (512 * 1024)             // below the lowest stack: no thread can overrun further, CUDA allows 512 KiB of locals
#endif

struct Launch {
    unsigned grid[3], block[3];
    void** arguments;                              // one address a parameter
    const char* name;
    volatile int failed;                           // set once, by the first block that fails
    int most_blocks;                                // 0: all; else so many, half of them the last ones (the workbench)
    char message[1024];
};

typedef void (*RunBlocks)(const Launch* launch, unsigned long long first, unsigned long long last, char* stacks);

static inline void launch_failed(const Launch* const_launch, const char* format, va_list list) {
    Launch* launch = (Launch*)const_launch;
    if (__atomic_exchange_n(&launch->failed, 1, __ATOMIC_SEQ_CST) == 0) vsnprintf(launch->message, sizeof launch->message, format, list);
}
