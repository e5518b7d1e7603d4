// Moving a few neighbouring floats at a time.
#pragma once
template <int V> struct Wide { typedef float type; };                // what one access moves: 1, 2 or 4 floats
template <> struct Wide<2> { typedef float2 type; };
template <> struct Wide<4> { typedef float4 type; };

// to = from, COUNT floats side by side, V at a time where that is 4 (16 bytes) or 2. All are read before the first is
// written, so that the compiler may read them together: it cannot know that `to` and `from` do not overlap.
template <int V, int COUNT = V> __device__ __forceinline__ void copy(float* to, const float* from) {
    typedef typename Wide<V % 4 == 0 ? 4 : V>::type Each;
    constexpr int N = COUNT * sizeof(float) / sizeof(Each);
    __align__(16) float held[COUNT];
#pragma unroll
    for (int i = 0; i < N; i++) ((Each*)held)[i] = ((const Each*)from)[i];
#pragma unroll
    for (int i = 0; i < N; i++) ((Each*)to)[i] = ((const Each*)held)[i];
}

template <int V> __device__ __forceinline__ void clear(float* to) {
#pragma unroll
    for (int i = 0; i < V; i++) to[i] = 0.0f;
}
