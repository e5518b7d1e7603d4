// Winograd's minimal filtering F(2 x 2, 2 x 2): a stride-1 correlation with 2 x 2 taps, two by two outputs at a time,
// by 9 products where the direct form has 16.
//
//   one dimension    two outputs of a filter with two taps, from three inputs:   y0 = d0 g0 + d1 g1
//                    y1 = d1 g0 + d2 g1
//                    m0 = (d0 - d1) g0   m1 = d1 (g0 + g1)   m2 = (d1 - d2) g1   y0 = m0 + m1   y1 = m1 - m2
//                    3 products, not 4. Multiply it out: m0 + m1 = d0 g0 - d1 g0 + d1 g0 + d1 g1
//   its transpose    the filter's gradient is the same sum with the outputs' gradients e in the taps' place:
//                    dg0 = d0 e0 + d1 e1    dg1 = d1 e0 + d2 e1
//   two dimensions   the same along rows, then along columns: 3 x 3 products
//   channels         a product of numbers becomes a product of matrices: nine of them side by side, [tiles, channels
//                    in] x [channels in, channels out]; the sums over channels are taken before the last step, once for
//                    all
//   exact            every coefficient is 0, 1 or -1: integers stay integers
//
// A tile is a patch of 2 x 2 outputs; d is its 3 x 3 inputs. The nine products lie in threadIdx.x's highest part, so
// that on a GPU a warp works on one of them.
//
// Kernel 4, stride 2, padding 1 splits into such filters: pixels of one parity meet taps of one parity only, 2 x 2 of
// the 4 x 4. Source: Winograd 1980; Lavin & Gray 2015, section 4; the split by stride: Huang et al. 2021 (Decomposable
// Winograd Method).
#pragma once

#ifndef BM               // as in gemm_tile.cuh, and two more
#define BM 32            // tiles of a block: nine products of this size share its threads and its shared memory
#define BN 32
#define BK 8
#define TM 8
#define TN 4
#define A_PITCH 8
#define VEC_A 1
#define VEC_B 1
#define ROW_READ 2           // steps of the sum that multiply_rows reads at once
#define PASSES 1         // rounds in which the nine results are exchanged: more rounds need less shared memory
#define KNOWN (void)0
#endif
#define THREADS (9 * TILE_THREADS)
#include "gemm_tile.cuh"

static_assert(TM % PASSES == 0, "each round takes the same rows of every thread");

// (d0, d1, d2) -> (d0 - d1, d1, d1 - d2), along both axes.
template <int V> __device__ __forceinline__ void transform_input(float (&d)[3][3][V]) {
#pragma unroll
    for (int c = 0; c < 3; c++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            d[0][c][v] -= d[1][c][v];
            d[2][c][v] = d[1][c][v] - d[2][c][v];
        }
#pragma unroll
    for (int r = 0; r < 3; r++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            d[r][0][v] -= d[r][1][v];
            d[r][2][v] = d[r][1][v] - d[r][2][v];
        }
}

// (g0, g1) -> (g0, g0 + g1, g1), along both axes: the taps, and the outputs' gradients. g lies in the first 2 x 2 of d.
template <int V> __device__ __forceinline__ void transform_taps(float (&d)[3][3][V]) {
#pragma unroll
    for (int c = 0; c < 2; c++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            d[2][c][v] = d[1][c][v];
            d[1][c][v] += d[0][c][v];
        }
#pragma unroll
    for (int r = 0; r < 3; r++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            d[r][2][v] = d[r][1][v];
            d[r][1][v] += d[r][0][v];
        }
}

// (m0, m1, m2) -> (m0 + m1, m1 - m2), along both axes: the first 2 x 2 of m are the outputs.
template <int V> __device__ __forceinline__ void transform_output(float (&m)[3][3][V]) {
#pragma unroll
    for (int c = 0; c < 3; c++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            m[0][c][v] += m[1][c][v];
            m[1][c][v] -= m[2][c][v];
        }
#pragma unroll
    for (int r = 0; r < 2; r++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            m[r][0][v] += m[r][1][v];
            m[r][1][v] -= m[r][2][v];
        }
}

// Where a tile's pixels lie in an image [H, W, C], `step` pixels apart from (h, w) on; image null: nowhere, all zeros.
struct Window {
    const float* image;
    int h, w, step;
};

// The first SIZE x SIZE of d: V channels of each pixel of the window, zeros outside the image.
template <int SIZE, int V>
__device__ __forceinline__ void read_window(float (&d)[3][3][V], Window at, int H, int W, int C) {
    const float* corner = at.image + (at.h * W + at.w) * C;
    if (at.image && at.h >= 0 && at.w >= 0 && at.h + (SIZE - 1) * at.step < H && at.w + (SIZE - 1) * at.step < W) {
#pragma unroll
        for (int r = 0; r < SIZE; r++)
#pragma unroll
            for (int c = 0; c < SIZE; c++) copy<V>(d[r][c], corner + (r * W + c) * at.step * C);
        return;
    }
#pragma unroll
    for (int r = 0; r < SIZE; r++)
#pragma unroll
        for (int c = 0; c < SIZE; c++) {
            int h = at.h + r * at.step, w = at.w + c * at.step;
            bool inside = at.image && (unsigned)h < (unsigned)H && (unsigned)w < (unsigned)W;
            if (inside) copy<V>(d[r][c], corner + (r * W + c) * at.step * C);
            else clear<V>(d[r][c]);
        }
}

// A transformed operand in shared memory: nine slabs of ROWS x WIDTH floats, rows PITCH apart; a row is a tile, a
// column a channel. SIZE 3: inputs, 2: gradients of outputs. A thread takes V channels of a tile at a time.
template <int SIZE, int ROWS, int WIDTH, int PITCH, int V> struct Slabs {
    static constexpr int IN_ROW = WIDTH / V, GROUPS = ROWS * IN_ROW, SHARE = (GROUPS + THREADS - 1) / THREADS,
        SLAB = ROWS * PITCH;
    static_assert(WIDTH % V == 0, "groups fill rows");

    static __device__ __forceinline__ int group(int i) { return threadIdx.x + i * THREADS; }
    static __device__ __forceinline__ bool in(int i) { return GROUPS % THREADS == 0 || group(i) < GROUPS; }
    static __device__ __forceinline__ int row(int i) { return group(i) / IN_ROW; }               // [0, ROWS)
    static __device__ __forceinline__ int column(int i) { return group(i) % IN_ROW * V; }        // [0, WIDTH)

    // Pixels of this thread's group i, transformed on their way.
    static __device__ __forceinline__ void put(float* shared, int i, float (&d)[3][3][V]) {
        if (SIZE == 3) transform_input<V>(d);
        else transform_taps<V>(d);
#pragma unroll
        for (int p = 0; p < 9; p++) copy<V>(shared + p * SLAB + row(i) * PITCH + column(i), d[p / 3][p % 3]);
    }
};

#include "winograd_mover.cuh"

// Brings the nine results of each element together: threads lay down their acc in m_s, PASSES rounds of BM / PASSES
// rows, and write(row, column, m) gets the outputs of V neighbouring columns in the first 2 x 2 of m. BY_ROWS: a
// thread's rows are those of multiply_rows, else those of multiply_columns. Every thread of the block must come here.
template <int V, bool BY_ROWS, class Write>
__device__ __forceinline__ void join_products(float* m_s, const float (&acc)[TM][TN], int product, int ty, int tx,
    Write write) {
    constexpr int EACH = TM / PASSES, ROUND = BM / PASSES;           // rows of a thread, and of all, in a round
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        __syncthreads();  // m_s is free: the last step, or the last round, has been read
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int j = 0; j < TN; j += CHUNK) {
                __align__(16) float held[CHUNK];
#pragma unroll
                for (int v = 0; v < CHUNK; v++) held[v] = acc[pass * EACH + i][j + v];
                copy<CHUNK>(m_s + (product * ROUND + ty * EACH + i) * BN + tile_column(tx, j), held);
            }
        __syncthreads();                                             // all nine are there
#pragma unroll 1
        for (int g = threadIdx.x; g < ROUND * (BN / V); g += THREADS) {
            int row = g / (BN / V), column = g % (BN / V) * V;
            __align__(16) float m[3][3][V];
#pragma unroll
            for (int p = 0; p < 9; p++) copy<V>(m[p / 3][p % 3], m_s + (p * ROUND + row) * BN + column);
            transform_output<V>(m);
            int owner = row / EACH, i = pass * EACH + row % EACH;    // whose row it is, and which of its rows
            write(BY_ROWS ? tile_row(owner, i) : owner * TM + i, column, m);
        }
    }
}
