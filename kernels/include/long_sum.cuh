// A sum of many numbers by one thread.
#pragma once

// A long sum whose rounding error does not grow with its length (Kahan 1965): what rounding took from one addition goes
// into the next.
struct LongSum {
    float sum = 0.0f, over = 0.0f;                           // over: by how much the sum is too large
    __device__ __forceinline__ void add(float value) {
        float less = value - over, next = sum + less;
        over = next - next == 0.0f ? (next - sum) - less : 0.0f;     // an infinite sum stays infinite
        sum = next;
    }
};
