"""Kernels whose threads are ordered by fences and atomics, or write the same: tickets, locks, seeds."""

from judged import Judged

ORDERED = [
    Judged(
        "neighbouring bytes by a typedef and in a struct",
        """typedef unsigned char Mark;
struct Cell { short a; Mark b, c; };
extern "C" __global__ void k(const float* x, Mark* m, Cell* cells) {
    int i = threadIdx.x;
    m[i] = x[i] > 0;
    if (i & 1) cells[i / 2].b = 1; else cells[i / 2].c = 2;
}""",
        arguments={"x": "f32[64]", "m": "u8[64]:empty", "cells": "u8[128]:empty"},
    ),
    Judged(
        "a ticket in __device__ memory, fenced",
        """__device__ unsigned tickets;
extern "C" __global__ void k(float* part, float* out) {
    __shared__ bool last;
    if (threadIdx.x == 0) {
        part[blockIdx.x] = 1.0f;
        __threadfence();
        last = atomicAdd(&tickets, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        float sum = 0.0f;
        for (int b = 0; b < gridDim.x; b++) sum += part[b];
        *out = sum;
        tickets = 0;
    }
}""",
        grid=5,
        arguments={"part": "f32[5]:empty", "out": "f32[1]:empty"},
    ),
    Judged(
        "a ticket whose block does not wait before the fence",
        """__device__ unsigned tickets;
extern "C" __global__ void k(float* part, float* out) {
    __shared__ bool last;
    part[blockIdx.x * blockDim.x + threadIdx.x] = 1.0f;
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd(&tickets, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        float sum = 0.0f;
        for (int i = 0; i < gridDim.x * blockDim.x; i++) sum += part[i];
        *out = sum;
    }
}""",
        grid=3,
        arguments={"part": "f32[192]:empty", "out": "f32[1]:empty"},
        expected=(("race", "error", 12),),
    ),
    Judged(
        "a lock with fences, in turns",
        """extern "C" __global__ void k(int* lock, int* total) {
    for (bool done = false; !done;) {
        if (atomicCAS(lock, 0, 1) == 0) {
            __threadfence();
            *total += 2;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}""",
        grid=3,
        arguments={"lock": "zeros", "total": "i32[1]"},
    ),
    Judged(
        "a lock without fences",
        """extern "C" __global__ void k(int* lock, int* total) {
    for (bool done = false; !done;) {
        if (atomicCAS(lock, 0, 1) == 0) {
            *total += 2;
            atomicExch(lock, 0);
            done = true;
        }
    }
}""",
        grid=2,
        block=32,
        arguments={"lock": "zeros", "total": "i32[1]"},
        expected=(("race", "error", 4),),
    ),
    Judged(
        "a compare-and-swap loop seeded by a plain read",
        """extern "C" __global__ void k(const float* x, int* m) {
    int old = *m, want;
    do { want = old; old = atomicCAS(m, want, max(want, (int)x[threadIdx.x])); } while (old != want);
}""",
        arguments={"x": "f32[64]", "m": "i32[1]"},
        expected=(("race", "warning", None),),
    ),
    Judged(
        "all write the same",
        """extern "C" __global__ void k(const int* x, int* any) {
    if (x[threadIdx.x] >= 0) *any = 1;
}""",
        arguments={"x": "i32[64]", "any": "i32[1]"},
        expected=(("race", "warning", 2),),
    ),
    Judged(
        "all write, not the same",
        """extern "C" __global__ void k(int* any) {
    *any = threadIdx.x;
}""",
        arguments={"any": "i32[1]"},
        expected=(("race", "error", 2),),
    ),
]
