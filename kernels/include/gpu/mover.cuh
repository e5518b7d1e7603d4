// How pieces of A and B get into shared memory on a GPU: through registers, into one of two buffers. So the loads of
// the next piece are in flight while the block computes on this one, and a step needs one barrier.
#pragma once
#define BUFFERS 2
#define CHUNK 4          // neighbouring columns of a thread: 4 floats are one 16-byte access
enum Operand { LEFT, RIGHT };                                        // A, B

// One operand's piece, ROWS x WIDTH floats, rows PITCH apart, brought in by all threads of the block. A group is V
// neighbouring floats; neighbouring threads take neighbouring groups, so that a warp's loads are whole sectors.
template <Operand OPERAND, int ROWS, int WIDTH, int PITCH> struct Piece {
    static constexpr int V = OPERAND == LEFT ? VEC_A : VEC_B, IN_ROW = WIDTH / V, GROUPS = ROWS * IN_ROW;
    static constexpr int SHARE = (GROUPS + THREADS - 1) / THREADS, UNROLL = SHARE;        // groups of a thread
    __align__(16) float staged[SHARE * V];  // indexed by constants only, once unrolled: registers

    static __device__ __forceinline__ int group(int i) { return threadIdx.x + i * THREADS; }
    static __device__ __forceinline__ bool in(int i) { return GROUPS % THREADS == 0 || group(i) < GROUPS; }
    static __device__ __forceinline__ int row(int i) { return group(i) / IN_ROW; }                // [0, ROWS)
    static __device__ __forceinline__ int column(int i) { return group(i) % IN_ROW * V; }         // [0, WIDTH)

    // source(i, row, column, length): where the `length` floats of group i, at (row, column), lie in memory; null: 0
    template <class Source> __device__ __forceinline__ void load(Source source) {
#pragma unroll
        for (int i = 0; i < SHARE; i++) {
            if (!in(i)) break;
            const float* from = source(i, row(i), column(i), V);
            if (from) copy<V>(staged + i * V, from);
            else clear<V>(staged + i * V);
        }
    }

    __device__ __forceinline__ void store(float* shared) const {
#pragma unroll
        for (int i = 0; i < SHARE; i++) {
            if (!in(i)) break;
            copy<V>(shared + row(i) * PITCH + column(i), staged + i * V);
        }
    }
};

// Steps through the sum: load(k0) fetches a piece, store(a_s, b_s) puts it in place, work(a_s, b_s) uses it.
template <int A_SIZE, int B_SIZE, class Load, class Store, class Work>
__device__ __forceinline__ void steps(int first, int last, float* a_s, float* b_s, Load load, Store store, Work work) {
    if (first >= last) return;                                       // the whole block: first and last are the block's
    load(first);
    store(a_s, b_s);
    __syncthreads();                                                 // the first piece is there
    for (int k0 = first, now = 0; k0 < last; k0 += BK, now = (now + 1) % BUFFERS) {
        bool more = k0 + BK < last;
        if (more) load(k0 + BK);                                     // into registers: in flight during work
        work(a_s + now * A_SIZE, b_s + now * B_SIZE);
        if (!more) break;
        store(a_s + (1 - now) * A_SIZE, b_s + (1 - now) * B_SIZE);   // the other buffer: read before the last barrier
        __syncthreads();                                             // the next piece is there
    }
}
