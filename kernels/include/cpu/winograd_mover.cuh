// How the operands of Winograd's nine products get into shared memory on a CPU: as in mover.cuh, pixels transformed at
// once. Taps need not be copied at all where their rows fill the tile: the caches do what shared memory does on a GPU.
#pragma once

#ifndef TAPS_DIRECT
#define TAPS_DIRECT 0    // 1: threads read the transformed taps where they lie
#endif

template <int SIZE, int ROWS, int WIDTH, int PITCH, int V>
struct TransformedPiece : Slabs<SIZE, ROWS, WIDTH, PITCH, V> {
    typedef Slabs<SIZE, ROWS, WIDTH, PITCH, V> S;
    static constexpr int UNROLL = 1;
    float* shared;                                                   // where the next piece goes

    __device__ __forceinline__ void store(float* to) { shared = to; }                             // before load

    // window(i, row, column): where the pixels of this thread's group i lie.
    template <class Where> __device__ __forceinline__ void load(int H, int W, int C, Where window) {
#pragma unroll 1
        for (int i = 0; i < S::SHARE; i++) {
            if (!S::in(i)) break;
            __align__(16) float d[3][3][V];
            read_window<SIZE, V>(d, window(i, S::row(i), S::column(i)), H, W, C);
            S::put(shared, i, d);
        }
    }
};

// A block's columns of the transformed taps u [9, K, BN], of which the first `columns` exist.
struct Taps {
    const float* u;
    int K, columns;
    const float* now;  // the current piece, where the taps are read directly
    Piece<RIGHT, 9 * BK, BN, BN> piece;                              // row = (product, k)

    __device__ __forceinline__ void store(float* b_s) { piece.store(b_s); }                       // before load

    __device__ __forceinline__ void load(int k0) {
        now = u + k0 * BN;
        if (TAPS_DIRECT) return;
        piece.load([&](int, int row, int column, int length) -> const float* {
            int k = k0 + row % BK;
            return k < K && column + length <= columns ? u + (row / BK * K + k) * BN + column : nullptr;
        });
    }

    __device__ __forceinline__ const float* slab(int product, const float* b_s) const {
        return TAPS_DIRECT ? now + product * (K * BN) : b_s + product * (BK * BN);
    }
};
