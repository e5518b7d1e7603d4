// How pieces of A and B get into shared memory on a CPU, where that is the first-level cache: straight from memory,
// whole rows at a time, into one buffer. A core has no loads to hide behind arithmetic; what it likes are long runs and
// few barriers.
#pragma once

#define BUFFERS 1
#define CHUNK TN         // a thread's columns lie side by side: whole vector registers

#ifndef RUN_A
#define RUN_A 1          // groups of VEC_A floats that one thread copies side by side
#define RUN_B 1
#endif

enum Operand { LEFT, RIGHT };                                        // A, B

// One operand's piece, ROWS x WIDTH floats, rows PITCH apart, brought in by all threads of the block. A group is V
// neighbouring floats, a run RUN groups of one row.
template <Operand OPERAND, int ROWS, int WIDTH, int PITCH> struct Piece {
    static constexpr int V = OPERAND == LEFT ? VEC_A : VEC_B, RUN = OPERAND == LEFT ? RUN_A : RUN_B;
    static constexpr int IN_ROW = WIDTH / (V * RUN), RUNS = ROWS * IN_ROW;
    static constexpr int SHARE = (RUNS + THREADS - 1) / THREADS, UNROLL = 1;              // runs of a thread
    float* shared;                                                   // where the next piece goes
    static_assert(WIDTH % (V * RUN) == 0, "runs fill rows");

    static __device__ __forceinline__ int run(int i) { return threadIdx.x + i * THREADS; }
    static __device__ __forceinline__ bool in(int i) { return RUNS % THREADS == 0 || run(i) < RUNS; }
    static __device__ __forceinline__ int row(int i) { return run(i) / IN_ROW; }                  // [0, ROWS)
    static __device__ __forceinline__ int column(int i) { return run(i) % IN_ROW * (V * RUN); }   // [0, WIDTH)

    __device__ __forceinline__ void store(float* to) { shared = to; }                             // before load

    // source(i, row, column, length): where the `length` floats of this thread's run i from (row, column) on start in
    // memory, if they lie there side by side, else null. A run that does not is asked for by groups; for a group null
    // means zeros.
    template <class Source> __device__ __forceinline__ void load(Source source) {
#pragma unroll 1
        for (int i = 0; i < SHARE; i++) {
            if (!in(i)) break;
            float* to = shared + row(i) * PITCH + column(i);
            const float* from = source(i, row(i), column(i), RUN * V);
            if (from) {
                copy<V, RUN * V>(to, from);
                continue;
            }
            if (RUN == 1) clear<V>(to);
            for (int g = 0; g < (RUN == 1 ? 0 : RUN); g++) {
                from = source(i, row(i), column(i) + g * V, V);
                if (from) copy<V>(to + g * V, from);
                else clear<V>(to + g * V);
            }
        }
    }
};

// Steps through the sum: store(a_s, b_s) names the place, load(k0) fills it, work(a_s, b_s) uses it.
template <int A_SIZE, int B_SIZE, class Load, class Store, class Work>
__device__ __forceinline__ void steps(int first, int last, float* a_s, float* b_s, Load load, Store store, Work work) {
    store(a_s, b_s);
    for (int k0 = first; k0 < last; k0 += BK) {
        if (k0 > first) __syncthreads();                             // everybody has read the last piece
        load(k0);
        __syncthreads();                                             // this piece is there
        work(a_s, b_s);
    }
}
