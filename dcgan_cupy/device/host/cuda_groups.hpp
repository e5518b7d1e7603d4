// cooperative_groups.h on a CPU: groups of a block's threads. Included for texts that name cooperative_groups only.
// A group of up to 32 lanes is a mask of its warp; what it does is a warp collective with that mask.
#pragma once
#define GROUP inline __attribute__((always_inline))
#define CALLER const char* file = __builtin_FILE(), int line = __builtin_LINE()
namespace cooperative_groups {
namespace host = cuda_on_host;
HOST_INLINE unsigned linear_thread() { return host::fiber_now; }
HOST_INLINE unsigned block_threads() { return blockDim.x * blockDim.y * blockDim.z; }

struct thread_block {
    GROUP void sync(CALLER) const { host::wait_at_barrier(0, "thread_block::sync()", file, line); }
    GROUP void barrier_wait(CALLER) const { host::wait_at_barrier(0, "thread_block::barrier_wait()", file, line); }
    GROUP static unsigned thread_rank() { return linear_thread(); }
    GROUP static unsigned size() { return block_threads(); }
    GROUP static unsigned num_threads() { return block_threads(); }
    GROUP static dim3 group_index() { return dim3(blockIdx.x, blockIdx.y, blockIdx.z); }
    GROUP static dim3 thread_index() { return dim3(threadIdx.x, threadIdx.y, threadIdx.z); }
    GROUP static dim3 group_dim() { return blockDim; }
    GROUP static dim3 dim_threads() { return blockDim; }
    GROUP static bool is_valid() { return true; }
};
HOST_INLINE thread_block this_thread_block() { return thread_block(); }

struct grid_group {
    void sync() const __attribute__((diagnose_if(true,
        "need kernels whose blocks stand alone: grid.sync() waits for all blocks, which run one after the other here; "
        "two launches do the same", "error"))) {}
    GROUP static unsigned long long thread_rank() {
        return (unsigned long long)block_rank() * block_threads() + linear_thread();
    }
    GROUP static unsigned long long block_rank() { return blockIdx.x + gridDim.x * (blockIdx.y + (unsigned long long)gridDim.y * blockIdx.z); }
    GROUP static unsigned long long num_blocks() { return (unsigned long long)gridDim.x * gridDim.y * gridDim.z; }
    GROUP static unsigned long long size() { return num_blocks() * block_threads(); }
    GROUP static unsigned long long num_threads() { return size(); }
    GROUP static dim3 group_dim() { return gridDim; }
    GROUP static dim3 dim_blocks() { return gridDim; }
    GROUP static dim3 block_index() { return dim3(blockIdx.x, blockIdx.y, blockIdx.z); }
    GROUP static bool is_valid() { return true; }
};
HOST_INLINE grid_group this_grid() { return grid_group(); }

// What groups of lanes share: `mask` names them in their warp.
struct lanes_group {
    unsigned mask, first, extent;                  // lanes; the first one's lane; how many
    GROUP unsigned thread_rank() const { return (unsigned)__builtin_popcount(mask & ((1u << (host::fiber_now & 31u)) - 1u)); }
    GROUP unsigned size() const { return extent; }
    GROUP unsigned num_threads() const { return extent; }
    GROUP bool is_valid() const { return true; }
    GROUP unsigned lane_of(unsigned rank) const { return host_nth(mask, rank); }
    GROUP static unsigned host_nth(unsigned m, unsigned rank) {
        for (unsigned i = 0; i < 32; i++) if (m >> i & 1 && rank-- == 0) return i;
        return host::fiber_now & 31u;
    }
    GROUP unsigned ranks_of(unsigned lanes) const {   // a ballot's bits, by rank in the group
        unsigned r = 0, n = 0;
        for (unsigned i = 0; i < 32; i++) if (mask >> i & 1) r |= (lanes >> i & 1) << n++;
        return r;
    }
    GROUP void sync(CALLER) const { host::sync_warp(file, line, mask); }
    template <class T> GROUP T from(unsigned rank, T v, const char* what, const char* file, int line) const {
        static_assert(sizeof(T) <= 8, "a group's shuffle moves up to 8 bytes");
        return host::from_bits<T>(host::warp_meet(mask, host::to_bits(v), (int)lane_of(rank), 32, host::act_shuffle<0>, what, file, line));
    }
    template <class T> GROUP T shfl(T v, int rank, CALLER) const { return from((unsigned)rank % extent, v, "group.shfl()", file, line); }
    template <class T> GROUP T shfl_down(T v, unsigned d, CALLER) const {
        unsigned r = thread_rank();
        return from(r + d < extent ? r + d : r, v, "group.shfl_down()", file, line);
    }
    template <class T> GROUP T shfl_up(T v, unsigned d, CALLER) const {
        unsigned r = thread_rank();
        return from(r >= d ? r - d : r, v, "group.shfl_up()", file, line);
    }
    template <class T> GROUP T shfl_xor(T v, unsigned d, CALLER) const {
        unsigned r = thread_rank();
        return from((r ^ d) < extent ? r ^ d : r, v, "group.shfl_xor()", file, line);
    }
    GROUP unsigned lanes_with(int p, const char* what, const char* file, int line) const {
        return (unsigned)host::warp_meet(mask, p != 0, 0, 32, host::act_ballot, what, file, line);
    }
    GROUP unsigned ballot(int p, CALLER) const { return ranks_of(lanes_with(p, "group.ballot()", file, line)); }
    GROUP int any(int p, CALLER) const { return lanes_with(p, "group.any()", file, line) != 0; }
    GROUP int all(int p, CALLER) const { return lanes_with(!p, "group.all()", file, line) == 0; }
    template <class T> GROUP unsigned match_any(T v, CALLER) const { return ranks_of(host::match_any(file, line, mask, v)); }
};
struct coalesced_group : lanes_group {
    GROUP unsigned meta_group_rank() const { return 0; }
    GROUP unsigned meta_group_size() const { return 1; }
};
HOST_INLINE coalesced_group coalesced_threads(CALLER) {
    coalesced_group g;
    g.mask = host::lanes_here(file, line);
    g.first = (unsigned)__builtin_ctz(g.mask);
    g.extent = (unsigned)__builtin_popcount(g.mask);
    return g;
}
HOST_INLINE unsigned tile_mask(unsigned size) {
    unsigned lane = host::fiber_now & 31u, first = lane & ~(size - 1), in_warp = host::fiber_count - (host::fiber_now & ~31u);
    unsigned all = size >= 32 ? ~0u : ((1u << size) - 1u) << first;
    return in_warp >= 32 ? all : all & ((1u << in_warp) - 1u);
}
template <unsigned N, class Parent = void> struct thread_block_tile : lanes_group {
    static_assert(N >= 1 && N <= 32 && (N & (N - 1)) == 0, "need tiles of 1 to 32 threads, a power of two");
    GROUP thread_block_tile() { mask = tile_mask(N); first = (host::fiber_now & 31u) & ~(N - 1); extent = N; }
    template <class Other> GROUP thread_block_tile(const thread_block_tile<N, Other>& o) : lanes_group(o) {}
    GROUP static constexpr unsigned size() { return N; }
    GROUP static constexpr unsigned num_threads() { return N; }
    GROUP static unsigned thread_rank() { return host::fiber_now & (N - 1); }
    GROUP static unsigned meta_group_rank() { return host::fiber_now / N; }
    GROUP static unsigned meta_group_size() { return (block_threads() + N - 1) / N; }
};
template <unsigned N, class P> HOST_INLINE thread_block_tile<N, P> tiled_partition(const P&) { return thread_block_tile<N, P>(); }
struct thread_group {                              // any group: a block, or lanes of a warp
    lanes_group lanes;
    bool whole;
    GROUP thread_group(const thread_block&) : lanes{0, 0, 0}, whole(true) {}
    GROUP thread_group(const lanes_group& g) : lanes(g), whole(false) {}
    GROUP void sync(CALLER) const { whole ? thread_block().sync(file, line) : lanes.sync(file, line); }
    GROUP unsigned thread_rank() const { return whole ? linear_thread() : lanes.thread_rank(); }
    GROUP unsigned size() const { return whole ? block_threads() : lanes.extent; }
    GROUP unsigned num_threads() const { return size(); }
    template <class T> GROUP T shfl_down(T v, unsigned d, CALLER) const { return lanes.shfl_down(v, d, file, line); }
    template <class T> GROUP T shfl(T v, int r, CALLER) const { return lanes.shfl(v, r, file, line); }
};
HOST_INLINE thread_group tiled_partition(const thread_group&, unsigned size) {
    lanes_group g = {tile_mask(size), (host::fiber_now & 31u) & ~(size - 1), size};
    return thread_group(g);
}
HOST_INLINE coalesced_group binary_partition(const lanes_group& g, bool p, CALLER) {
    unsigned yes = g.lanes_with(p, "binary_partition()", file, line);
    coalesced_group r;
    r.mask = p ? yes : g.mask & ~yes;
    r.first = (unsigned)__builtin_ctz(r.mask);
    r.extent = (unsigned)__builtin_popcount(r.mask);
    return r;
}
template <class T> HOST_INLINE coalesced_group labeled_partition(const lanes_group& g, T label, CALLER) {
    coalesced_group r;
    r.mask = host::match_any(file, line, g.mask, label);
    r.first = (unsigned)__builtin_ctz(r.mask);
    r.extent = (unsigned)__builtin_popcount(r.mask);
    return r;
}
template <class G> HOST_INLINE void sync(const G& g, CALLER) { g.sync(file, line); }
template <class G> HOST_INLINE void synchronize(const G& g, CALLER) { g.sync(file, line); }

template <class T = void> struct plus { template <class U> GROUP U operator()(U a, U b) const { return a + b; } };
template <class T = void> struct less { template <class U> GROUP U operator()(U a, U b) const { return b < a ? b : a; } };
template <class T = void> struct greater { template <class U> GROUP U operator()(U a, U b) const { return a < b ? b : a; } };
template <class T = void> struct bit_and { template <class U> GROUP U operator()(U a, U b) const { return a & b; } };
template <class T = void> struct bit_or { template <class U> GROUP U operator()(U a, U b) const { return a | b; } };
template <class T = void> struct bit_xor { template <class U> GROUP U operator()(U a, U b) const { return a ^ b; } };
template <class G, class T, class F> HOST_INLINE T reduce(const G& g, T v, F f, CALLER) {
    T all = g.from(0, v, "cg::reduce()", file, line);
    for (unsigned i = 1; i < g.size(); i++) all = f(all, g.from(i, v, "cg::reduce()", file, line));
    return all;
}
template <class G, class T, class F> HOST_INLINE T inclusive_scan(const G& g, T v, F f, CALLER) {
    T sum = v;
    for (unsigned d = 1; d < g.size(); d *= 2) {
        T other = g.shfl_up(sum, d, file, line);
        if (g.thread_rank() >= d) sum = f(other, sum);
    }
    return sum;
}
template <class G, class T> HOST_INLINE T inclusive_scan(const G& g, T v, CALLER) { return inclusive_scan(g, v, plus<T>(), file, line); }
template <class G, class T, class F> HOST_INLINE T exclusive_scan(const G& g, T v, F f, CALLER) {
    T sum = g.shfl_up(inclusive_scan(g, v, f, file, line), 1, file, line);
    return g.thread_rank() ? sum : T();
}
template <class G, class T> HOST_INLINE T exclusive_scan(const G& g, T v, CALLER) { return exclusive_scan(g, v, plus<T>(), file, line); }
template <class G, class T, class F> HOST_INLINE void reduce_update_async(const G& g, T& to, T v, F f, CALLER) {
    T all = reduce(g, v, f, file, line);
    if (g.thread_rank() == 0) to = f(to, all);
}
template <class G, class T, class S> HOST_INLINE void memcpy_async(const G& g, T* to, const S* from, size_t bytes) {
    for (size_t i = g.thread_rank(); i < bytes / sizeof(T); i += g.size()) to[i] = (T)from[i];
}
template <class G> HOST_INLINE void wait(const G& g, CALLER) { g.sync(file, line); }
template <unsigned N, class G> HOST_INLINE void wait_prior(const G& g, CALLER) { g.sync(file, line); }
template <class G, class F> HOST_INLINE void invoke_one(const G& g, F f) { if (g.thread_rank() == 0) f(); }
}
#undef CALLER
#undef GROUP
