// One block's share of a matrix product: a BM x BN tile of C = A B, in steps of BK along the sum.
//
//   shared      a_s holds a BM x BK piece of A, b_s a BK x BN piece of B; BUFFERS of each, filled by mover.cuh
//   registers   a thread owns TM rows and TN columns of the tile, acc[TM][TN]. Its columns come in chunks of CHUNK, one
//               of each stripe of CHUNK * COLUMN_THREADS: neighbouring threads read neighbouring chunks of b_s
//   cost        2 * BM * BN * BK FLOP a step for BK * (BM + BN) floats moved; a thread reads TM + TN for 2 * TM * TN
#pragma once

#include "activation.cuh"
#include "copy.cuh"

#ifndef BM               // the host gives them all, by device and shape (dcgan_cupy/ops/tiles.py): they are the tuning
#define BM 64            // rows of a block's tile
#define BN 64            // columns of a block's tile
#define BK 16            // depth of a step
#define TM 4             // rows of a thread
#define TN 4             // columns of a thread
#define A_PITCH 20       // floats from row to row of a_s: rows read side by side must not meet in the same banks
#define VEC_A 1          // neighbouring floats of A that lie together in memory, and load together: 1, 4 or more
#define VEC_B 1
#define KNOWN (void)0    // sizes that the host promises, as assignments: IC = 64. Division by a constant is cheap
#endif

#define COLUMN_THREADS (BN / TN)                         // threads along the columns
#define TILE_THREADS ((BM / TM) * COLUMN_THREADS)        // threads of one tile
#ifndef THREADS
#define THREADS TILE_THREADS                             // threads of a block: several tiles may share one
#endif
#include "mover.cuh"
static_assert(BM % TM == 0 && BN % TN == 0 && TN % CHUNK == 0 && BN % VEC_B == 0, "threads share a tile evenly");
static_assert(A_PITCH >= BK && A_PITCH % 4 == 0 && BK % 4 == 0 && CHUNK % VEC_B == 0, "wide moves are aligned");

// The tile's column of a thread's column j.
__device__ __forceinline__ int tile_column(int tx, int j) {
    return (j / CHUNK) * (CHUNK * COLUMN_THREADS) + tx * CHUNK + j % CHUNK;
}

// The tile's row of a thread's row i, where a_s lies by rows: a warp reads rows side by side, in different banks.
__device__ __forceinline__ int tile_row(int ty, int i) { return ty + i * (BM / TM); }

// A thread's results of one row: to[column] = Epilogue::forward(acc + bias[column]) for its columns from c0 on and
// below C, a multiple of VEC_B, so many at a time. bias null: none.
__device__ __forceinline__ void write_row(float* to, const float (&acc)[TN], const float* bias, int c0, int C, int tx) {
#pragma unroll
    for (int j = 0; j < TN; j += VEC_B) {
        int column = c0 + tile_column(tx, j);
        if (column >= C) continue;
        __align__(16) float held[VEC_B];
#pragma unroll
        for (int v = 0; v < VEC_B; v++) held[v] = Epilogue::forward(bias ? acc[j + v] + bias[column + v] : acc[j + v]);
        copy<VEC_B>(to + column, held);
    }
}

// A thread's columns of one step of the sum.
__device__ __forceinline__ void read_columns(float (&b)[TN], const float* b_s, int step, int tx) {
#pragma unroll
    for (int j = 0; j < TN; j += CHUNK) copy<CHUNK>(b + j, b_s + step * BN + tile_column(tx, j));
}

// acc += a_s b_s with a_s as [BM][A_PITCH], a thread's rows by tile_row, of which it reads READ steps of the sum at
// once: 4 are one access, 2 need half the registers.
template <int READ> __device__ __forceinline__ void multiply_rows(const float* a_s, const float* b_s,
    float (&acc)[TM][TN], int ty, int tx) {
#pragma unroll 1
    for (int k = 0; k < BK; k += READ) {
        __align__(16) float a[TM][READ];
#pragma unroll
        for (int i = 0; i < TM; i++) copy<READ>(a[i], a_s + tile_row(ty, i) * A_PITCH + k);
#pragma unroll
        for (int step = 0; step < READ; step++) {
            __align__(16) float b[TN];
            read_columns(b, b_s, k + step, tx);
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++) acc[i][j] += a[i][step] * b[j];
        }
    }
}
