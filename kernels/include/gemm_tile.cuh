// One block's share of a matrix product: a BM x BN tile of C = A B, in steps of BK along the sum.
//
//   shared      a_s holds a BM x BK piece of A, b_s a BK x BN piece of B; BUFFERS of each
//   registers   a thread owns TM rows and TN columns of the tile, acc[TM][TN]. Its columns come in chunks of CHUNK, one chunk
//               from each stripe of CHUNK * COLUMN_THREADS, so that neighbouring threads read neighbouring chunks of b_s
//   cost        a step moves BK * (BM + BN) floats into shared memory for 2 * BM * BN * BK FLOP; of shared memory a thread reads
//               TM + TN floats for 2 * TM * TN FLOP
//
// The constants are the tuning: the host picks them by device and shape (dcgan_cupy/ops/tiles.py).
#pragma once

#include "activation.cuh"
#include "copy.cuh"

#ifndef BM
#define BM 64            // rows of a block's tile
#endif
#ifndef BN
#define BN 64            // columns of a block's tile
#endif
#ifndef BK
#define BK 16            // depth of a step
#endif
#ifndef TM
#define TM 4             // rows of a thread
#endif
#ifndef TN
#define TN 4             // columns of a thread
#endif
#ifndef CHUNK
#define CHUNK 4          // neighbouring columns of a thread: 4 floats are one 16-byte access
#endif
#ifndef PRODUCTS
#define PRODUCTS 1       // matrix products that a block works on side by side, each with threads of its own
#endif
#ifndef BUFFERS
#define BUFFERS 2        // 2: one barrier a step, and loads that fly during the arithmetic. 1: half the shared memory, two barriers
#endif
#ifndef VEC_A
#define VEC_A 1          // neighbouring floats of A that lie together in memory, and load together: 1, 4 or more
#endif
#ifndef VEC_B
#define VEC_B 1
#endif
#ifndef RUN_A
#define RUN_A 1          // such groups that one thread loads side by side. 1 coalesces on a GPU; a CPU likes whole rows
#endif
#ifndef RUN_B
#define RUN_B 1
#endif
#ifndef ROW_READ
#define ROW_READ 4       // steps of the sum that a thread reads of its rows at once: 4 are one access, 2 need half the registers
#endif
#ifndef KNOWN
#define KNOWN (void)0    // sizes that the host promises, as assignments: IC = 64, OC = 128. Division by a constant is cheap
#endif

#define COLUMN_THREADS (BN / TN)                         // threads along the columns
#define TILE_THREADS ((BM / TM) * COLUMN_THREADS)         // threads of one tile
#define THREADS (PRODUCTS * TILE_THREADS)

static_assert(BM % TM == 0 && BN % TN == 0 && TN % CHUNK == 0, "threads share a tile evenly");
static_assert(BK % 4 == 0 && 4 % ROW_READ == 0, "a thread reads up to 4 steps of a row at once");
static_assert(BK % (VEC_A * RUN_A) == 0 || BM % (VEC_A * RUN_A) == 0, "runs fill rows of a_s");
static_assert(BN % (VEC_B * RUN_B) == 0, "runs fill rows of b_s");
static_assert(CHUNK % VEC_B == 0, "a thread writes VEC_B neighbouring columns at once");
static_assert(THREADS <= 1024, "a block holds at most 1024 threads");

// The tile's column of a thread's column j.
__device__ __forceinline__ int tile_column(int tx, int j) {
    return (j / CHUNK) * (CHUNK * COLUMN_THREADS) + tx * CHUNK + j % CHUNK;
}

// The tile's row of a thread's row i, where a_s lies by rows: a warp's threads read rows side by side, which lie in different banks.
__device__ __forceinline__ int tile_row(int ty, int i) {
    return ty + i * (BM / TM);
}

// A thread's results of one row: to[column] = Epilogue::forward(acc + bias[column]) for its columns below COLUMNS, VEC_B at a time. COLUMNS is a multiple
// of VEC_B. bias null: none.
__device__ __forceinline__ void write_row(float* to, const float (&acc)[TN], const float* bias, int column0, int COLUMNS, int tx) {
#pragma unroll
    for (int j = 0; j < TN; j += VEC_B) {
        int column = column0 + tile_column(tx, j);
        if (column >= COLUMNS) continue;
        __align__(16) float held[VEC_B];
#pragma unroll
        for (int v = 0; v < VEC_B; v++) held[v] = bias ? acc[j + v] + bias[column + v] : acc[j + v];
#pragma unroll
        for (int v = 0; v < VEC_B; v++) held[v] = Epilogue::forward(held[v]);
        copy<VEC_B>(to + column, held);
    }
}

// How one operand's pieces get into shared memory: ROWS x WIDTH floats, rows PITCH apart, by all threads of the block. A group
// is V floats, a run RUN groups of one row. With two buffers the floats wait in registers (`staged`) while the block computes.
template <int ROWS, int WIDTH, int PITCH, int V, int RUN> struct Piece {
    static constexpr int RUNS_IN_ROW = WIDTH / (V * RUN), RUNS = ROWS * RUNS_IN_ROW, SHARE = (RUNS + THREADS - 1) / THREADS;
    __align__(16) float staged[BUFFERS == 2 ? SHARE * RUN * V : 1];   // it moves as float4. Indexed by constants only, once unrolled: registers

    static __device__ __forceinline__ int run_of(int i) { return threadIdx.x + i * THREADS; }
    static __device__ __forceinline__ bool in(int i) { return RUNS % THREADS == 0 || run_of(i) < RUNS; }
    static __device__ __forceinline__ int row(int i) { return run_of(i) / RUNS_IN_ROW; }                    // [0, ROWS)
    static __device__ __forceinline__ int column(int i) { return run_of(i) % RUNS_IN_ROW * (V * RUN); }     // [0, WIDTH)

    // source(i, row, column, length): where the `length` floats of this thread's run i from (row, column) on start in memory, if
    // they lie there side by side, else null. A run that does not is asked for by groups; for a group null means zeros.
    template <class Source> __device__ __forceinline__ void load(float* shared, Source source) {
#pragma unroll(BUFFERS == 2 ? SHARE : 1)
        for (int i = 0; i < SHARE; i++) {
            if (!in(i)) break;
            float* to = BUFFERS == 2 ? staged + i * RUN * V : shared + row(i) * PITCH + column(i);
            const float* from = source(i, row(i), column(i), RUN * V);
            if (from) {
                copy<V, RUN>(to, from);
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

    __device__ __forceinline__ void store(float* shared) const {
        if (BUFFERS == 1) return;                                    // load has put them there
#pragma unroll(BUFFERS == 2 ? SHARE : 1)
        for (int i = 0; i < SHARE; i++) {
            if (!in(i)) break;
#pragma unroll
            for (int g = 0; g < RUN; g++) copy<V>(shared + row(i) * PITCH + column(i) + g * V, staged + (i * RUN + g) * V);
        }
    }
};

// Steps through the sum: load(k0, a_s, b_s) brings a piece in, store(a_s, b_s) puts what it staged in place, multiply(a_s, b_s) uses it.
template <class Load, class Store, class Multiply>
__device__ __forceinline__ void steps(int first, int last, float* a_s, int a_size, float* b_s, int b_size, Load load, Store store, Multiply multiply) {
    if (first >= last) return;                                       // the whole block: first and last are the block's
    load(first, a_s, b_s);
    store(a_s, b_s);
    __syncthreads();                                                 // the first piece is there
    for (int k0 = first, now = 0; k0 < last; k0 += BK, now = (now + 1) % BUFFERS) {
        bool more = k0 + BK < last;
        if (BUFFERS == 2 && more) load(k0 + BK, a_s, b_s);           // into registers: in flight during multiply
        multiply(a_s + now * a_size, b_s + now * b_size);
        if (!more) break;
        if (BUFFERS == 1) {
            __syncthreads();                                         // everybody has read this piece
            load(k0 + BK, a_s, b_s);
        } else {
            store(a_s + (1 - now) * a_size, b_s + (1 - now) * b_size);   // the other buffer: its readers passed the last barrier
        }
        __syncthreads();                                             // the next piece is there
    }
}

// a_s as [BM][A_ROW_PITCH]: rows read side by side must not meet in the same shared-memory banks. Rows of 8 do not, longer ones are padded.
#define A_ROW_PITCH (BK == 8 ? 8 : BK + 4)

// A thread's columns of one step of the sum.
__device__ __forceinline__ void read_columns(float (&b)[TN], const float* b_s, int step, int tx) {
#pragma unroll
    for (int j = 0; j < TN; j += CHUNK) copy<CHUNK>(b + j, b_s + step * BN + tile_column(tx, j));
}

// acc += a_s b_s with a_s as [BM][A_ROW_PITCH], a thread's rows by tile_row: ROW_READ steps of the sum at a time.
__device__ __forceinline__ void multiply_rows(const float* a_s, const float* b_s, float (&acc)[TM][TN], int ty, int tx) {
#pragma unroll 1
    for (int k = 0; k < BK; k += ROW_READ) {
        __align__(16) float a[TM][ROW_READ];
#pragma unroll
        for (int i = 0; i < TM; i++) copy<ROW_READ>(a[i], a_s + tile_row(ty, i) * A_ROW_PITCH + k);
#pragma unroll
        for (int step = 0; step < ROW_READ; step++) {
            __align__(16) float b[TN];
            read_columns(b, b_s, k + step, tx);
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++) acc[i][j] += a[i][step] * b[j];
        }
    }
}

// acc += a_s b_s with a_s as [BK][BM], a thread's rows TM side by side.
__device__ __forceinline__ void multiply_columns(const float* a_s, const float* b_s, float (&acc)[TM][TN], int ty, int tx) {
#pragma unroll 1
    for (int k = 0; k < BK; k++) {
        __align__(16) float a[TM], b[TN];
        copy<TM>(a, a_s + k * BM + ty * TM);
        read_columns(b, b_s, k, tx);
#pragma unroll
        for (int i = 0; i < TM; i++)
#pragma unroll
            for (int j = 0; j < TN; j++) acc[i][j] += a[i] * b[j];
    }
}
