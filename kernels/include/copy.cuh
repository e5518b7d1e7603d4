// Moving a few neighbouring floats at a time.
#pragma once

// to = from, COUNT floats side by side, V at a time where that is 4 (16 bytes) or 2. All are read before the first is written, so
// that the compiler may read them together: it cannot know that `to` and `from` do not overlap.
template <int V, int COUNT = V> __device__ __forceinline__ void copy(float* to, const float* from) {
    __align__(16) float held[COUNT];
    if (V % 4 == 0) {
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) *(float4*)(held + i) = *(const float4*)(from + i);
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) *(float4*)(to + i) = *(const float4*)(held + i);
    } else if (V == 2) {
#pragma unroll
        for (int i = 0; i < COUNT; i += 2) *(float2*)(held + i) = *(const float2*)(from + i);
#pragma unroll
        for (int i = 0; i < COUNT; i += 2) *(float2*)(to + i) = *(const float2*)(held + i);
    } else {
#pragma unroll
        for (int i = 0; i < COUNT; i++) held[i] = from[i];
#pragma unroll
        for (int i = 0; i < COUNT; i++) to[i] = held[i];
    }
}

template <int V> __device__ __forceinline__ void clear(float* to) {
#pragma unroll
    for (int i = 0; i < V; i++) to[i] = 0.0f;
}
