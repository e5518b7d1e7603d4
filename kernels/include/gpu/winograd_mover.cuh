// How the operands of Winograd's nine products get into shared memory on a GPU: as in mover.cuh. Pixels wait in
// registers while the block computes, and are transformed on their way into the other buffer.
#pragma once

template <int SIZE, int ROWS, int WIDTH, int PITCH, int V>
struct TransformedPiece : Slabs<SIZE, ROWS, WIDTH, PITCH, V> {
    typedef Slabs<SIZE, ROWS, WIDTH, PITCH, V> S;
    static constexpr int UNROLL = S::SHARE;
    __align__(16) float staged[S::SHARE][3][3][V];

    // window(i, row, column): where the pixels of this thread's group i lie.
    template <class Where> __device__ __forceinline__ void load(int H, int W, int C, Where window) {
#pragma unroll
        for (int i = 0; i < S::SHARE; i++) {
            if (!S::in(i)) break;
            read_window<SIZE, V>(staged[i], window(i, S::row(i), S::column(i)), H, W, C);
        }
    }

    __device__ __forceinline__ void store(float* shared) {
#pragma unroll
        for (int i = 0; i < S::SHARE; i++) {
            if (!S::in(i)) break;
            S::put(shared, i, staged[i]);
        }
    }
};

// A block's columns of the transformed taps u [9, K, BN], of which the first `columns` exist.
struct Taps {
    const float* u;
    int K, columns;
    Piece<RIGHT, 9 * BK, BN, BN> piece;                              // row = (product, k)

    __device__ __forceinline__ void load(int k0) {
        piece.load([&](int, int row, int column, int length) -> const float* {
            int k = k0 + row % BK;
            return k < K && column + length <= columns ? u + (row / BK * K + k) * BN + column : nullptr;
        });
    }

    __device__ __forceinline__ void store(float* b_s) const { piece.store(b_s); }

    __device__ __forceinline__ const float* slab(int product, const float* b_s) const {
        return b_s + product * (BK * BN);
    }
};
