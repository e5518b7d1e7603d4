// What stands behind a watched access: is it inside an array, was the memory written, does another thread touch it unordered,
// and what does the warp's request cost. One image runs at a time, on one CPU thread, its blocks in order.
//
//   shadow     a cell per `cell` bytes (4, or less where the text works with smaller types): the last write and two reads, each a
//              stamp of block, thread, the thread's clock and the site. A thread's clock moves at every barrier and collective.
//   ordered    an earlier access of another thread comes before mine if that thread has passed a barrier since, or if it is of
//              my warp and we have met since (a clock for each pair of lanes). Blocks are ordered by nothing, but for a fence
//              followed by an atomic that the other block's atomic has seen.
//   requests   each thread keeps its accesses in a short list, with the iteration of the loops it stands in. What the lanes of a
//              warp do at one site in one iteration is one request, as if they ran side by side.
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "launch.h"

#define EXPORT extern "C" __attribute__((visibility("default")))
typedef uint32_t u32;
typedef uint64_t u64;

// A growing list of plain values. The C++ library's would take a minute to bring.
template <class T> struct List {
    T* at = nullptr;
    u32 count = 0, room = 0;
    T& operator[](u32 i) { return at[i]; }
    T* begin() { return at; }
    T* end() { return at + count; }
    T& add() {
        if (count == room) resize_room(room ? 2 * room : 64);
        return at[count++];
    }
    void fill(u32 n, u32 byte) {
        if (n > room) resize_room(n);
        count = n;
        memset((void*)at, (int)byte, n * sizeof(T));
    }
    void resize_room(u32 n) {
        room = n;
        at = (T*)realloc((void*)at, (size_t)n * sizeof(T));
        if (!at) abort();
    }
};

enum { READ, WRITE, ATOMIC };
enum Kind { OUT_OF_BOUNDS, MISALIGNED, UNINITIALISED, RACE };
enum { ROOM = 1024, DEPTH = 16, CALLS = 8, FINDINGS = 256, BARRIERS = 64, MAX_BLOCKS = (1 << 20) - 2, MAX_CLOCK = (1 << 17) - 1 };

struct Cell { u64 write, read, other; };
struct Array {                       // as Python fills it; shared arrays carry offsets into the region instead of addresses
    u64 low, high;                   // its bytes
    Cell* cells;
    unsigned char* written;          // one a byte: 0 never, 1 yes, 2 promised by cp.async
    u64 base;                        // address of the first cell and of the first byte of `written`
    u64 reads, writes;               // bytes that the launch reads before it writes them, and bytes that it writes; each counted once
};
struct Site { u32 kind, size; };
struct Block { u32 flags, depth, loop; u32 flops, flops64; };   // flags: 1 branches, 2 header, 4 entry; loop: innermost header
struct Finding {
    u32 kind, site, other, array, block[3], thread[3], other_block[3], other_thread[3], write, other_write, shared, size, warp, unsent;
    u64 address, count;
};
struct Cost { u64 requests, lanes, bytes, sectors, ideal, passes, extra, shared, splits, executions; };
struct Pattern { u64 address[32]; u32 mask, block, warp, cost; };
struct Settings {
    const Site* sites; const Block* blocks; Array* arrays; Array* shared; const u32* loops;   // loops[block * DEPTH + d]
    Cost* costs; Pattern* patterns; Cost* branches; u64* visits; Finding* findings; u32* slot_of;
    u64 shared_low, shared_size, dynamic_bytes, stack_low, stack_size;
    u32 site_count, block_count, array_count, shared_count, cell, finding_count, chosen_block, chosen_warp;
    u64 barrier_files[BARRIERS], barrier_lines[BARRIERS], barrier_counts[BARRIERS];
    u64 accesses, warps, blocks_run;
    double seconds;                  // the longest a launch may take
    u32 timed_out, costing, sequence, most_blocks;
};
struct CheckImage { u32* fiber_now; unsigned char* fiber_state; char** stacks; void (*run_fiber)(u32); void (*stop)(); };

struct Event { u64 address; u32 key, site; };            // site: with BRANCH set, a block and its successor
#define BRANCH 0x80000000u
struct Frame { u32 key[DEPTH + 1], count[DEPTH + 1]; int block; };
struct Thread { u32 events, frame; Event event[ROOM]; Frame frames[CALLS]; };
struct Group { u32 key, site, mask, age; u64 address[32]; };

static Settings* s;
static const CheckImage* image;
static Thread* threads;
static u32 count, base, now;                             // threads of a block; first block stamp of this launch; this block's
static u32 grid[3], block[3], index_[3];
static u32 clock_[1024], at_barrier[1024], seen[1024][32];
static bool met[32];
static bool fenced;
static double started;
static List<u32> acquired;                       // blocks whose fenced writes this one may read
struct Released { u64 address; List<u32> blocks; };
static List<Released> released;
static List<Group> groups[32];                   // kept from one drain to the next, by warp

static u64 image_low, image_high;                        // the image's own memory: constants, and what the runtime keeps

static int find_image(dl_phdr_info* info, size_t, void* inside) {
    u64 low = ~0ull, high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        u64 start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = start + info->dlpi_phdr[i].p_memsz;
        if (start < low) low = start;
        if (end > high) high = end;
    }
    if ((u64)inside < low || (u64)inside >= high) return 0;
    image_low = low;
    image_high = high;
    return 1;
}

static double seconds() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }

static inline u64 stamp(u32 thread, u32 site, bool atomic) {
    return (u64)now << 44 | (u64)thread << 34 | (u64)clock_[thread] << 17 | (u64)atomic << 16 | site;
}
static inline u32 stamp_block(u64 v) { return (u32)(v >> 44); }
static inline u32 stamp_thread(u64 v) { return (u32)(v >> 34) & 1023; }
static inline u32 stamp_clock(u64 v) { return (u32)(v >> 17) & MAX_CLOCK; }
static inline bool stamp_atomic(u64 v) { return v >> 16 & 1; }

static inline bool ordered(u64 old, u32 thread, bool shared) {
    u32 b = stamp_block(old);
    if (b < base || (shared && b != now)) return true;   // of an earlier launch; a block that has gone, and its shared memory with it
    if (b != now) {
        for (u32 a : acquired) if (a == b) return true;
        return false;
    }
    u32 t = stamp_thread(old), c = stamp_clock(old);
    return t == thread || c <= at_barrier[t] || (t / 32 == thread / 32 && seen[thread][t % 32] >= c);
}

// A launch of which only the first and the last blocks run: those have the numbers that follow one another.
static u32 numbered(u64 block_of_grid) {
    u64 total = (u64)grid[0] * grid[1] * grid[2], most = s->most_blocks, front = most - most / 2;
    return (u32)(most && most < total && block_of_grid >= front ? block_of_grid - (total - most) : block_of_grid);
}
static void split_block(u32 number, u32* to) {
    u64 total = (u64)grid[0] * grid[1] * grid[2], most = s->most_blocks, front = most - most / 2, at = number;
    if (most && most < total && at >= front) at += total - most;
    to[0] = (u32)(at % grid[0]);
    to[1] = (u32)(at / grid[0] % grid[1]);
    to[2] = (u32)(at / grid[0] / grid[1]);
}

static void split(u32 number, const u32* extent, u32* to) {
    to[0] = number % extent[0];
    to[1] = number / extent[0] % extent[1];
    to[2] = number / extent[0] / extent[1];
}

static void report(u32 kind, u32 site, u64 address, u32 thread, u32 array, bool shared, bool write, u64 old, bool old_write) {
    u32 other = old ? (u32)old & 0xffff : site, unsent = 0;
    if (kind == UNINITIALISED) unsent = (u32)old, other = site;
    for (u32 i = 0; i < s->finding_count; i++) {
        Finding& f = s->findings[i];
        if (f.kind == kind && f.site == site && f.other == other && f.array == array && f.shared == shared && f.write == write) { f.count++; return; }
    }
    if (s->finding_count == FINDINGS) return;
    Finding& f = s->findings[s->finding_count++];
    f = Finding();
    f.kind = kind; f.site = site; f.other = other; f.array = array; f.shared = shared; f.write = write; f.other_write = old_write;
    f.address = address; f.count = 1; f.size = s->sites[site].size; f.unsent = unsent;
    memcpy(f.block, index_, sizeof index_);
    split(thread, block, f.thread);
    if (kind == RACE) {
        split_block(stamp_block(old) - base, f.other_block);
        split(stamp_thread(old), block, f.other_thread);
        f.warp = stamp_block(old) == now && stamp_thread(old) / 32 == thread / 32;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Costs

static void cost_global(Cost& c, const Group& g, u32 size) {
    u64 sector[64], bytes[32];
    u32 sectors = 0, different = 0;
    for (u32 lane = 0; lane < 32; lane++) {
        if (!(g.mask >> lane & 1)) continue;
        u64 a = g.address[lane];
        for (u64 x = a / 32; x <= (a + size - 1) / 32; x++) {
            bool known = false;
            for (u32 i = sectors; i-- > 0 && !known;) known = sector[i] == x;
            if (!known) sector[sectors++] = x;
        }
        bool known = false;
        for (u32 i = different; i-- > 0 && !known;) known = bytes[i] == a;
        if (!known) bytes[different++] = a;
    }
    c.sectors += sectors;
    c.ideal += (different * size + 31) / 32;
}

// Shared memory serves 32 banks of 4 bytes in a pass; 8 bytes a lane go by half-warps, 16 by quarter-warps. Lanes that want the
// same word are served together.
static u32 cost_shared(Cost& c, const Group& g, u32 size) {
    u32 lanes = size == 16 ? 8 : size == 8 ? 16 : 32, passes = 0, ideal = 0;
    for (u32 first = 0; first < 32; first += lanes) {
        u64 word[64];
        u32 words = 0, load[32] = {}, most = 0;
        for (u32 lane = first; lane < first + lanes; lane++) {
            if (!(g.mask >> lane & 1)) continue;
            for (u64 w = g.address[lane] / 4; w <= (g.address[lane] + size - 1) / 4; w++) {
                bool known = false;
                for (u32 i = words; i-- > 0 && !known;) known = word[i] == w;
                if (known) continue;
                word[words++] = w;
                if (++load[w % 32] > most) most = load[w % 32];
            }
        }
        passes += most;
        ideal += most > 0;
    }
    c.passes += passes;
    c.extra += passes - ideal;
    return passes - ideal;
}

static void settle(const Group& g, u32 warp) {
    u32 lanes = __builtin_popcount(g.mask);
    if (g.site & BRANCH) {
        Cost& c = s->branches[g.site & ~BRANCH];
        u64 first = ~0ull;
        bool splits = false;
        for (u32 lane = 0; lane < 32; lane++) if (g.mask >> lane & 1) {
            if (first == ~0ull) first = g.address[lane];
            splits |= g.address[lane] != first;
        }
        c.executions++;
        if (!c.requests) c.requests = first + 1;         // the way that the first warp went, and whether one ever went another
        c.extra += splits || c.requests != first + 1;
        c.lanes += lanes;
        c.splits += splits;
        return;
    }
    Cost& c = s->costs[g.site];
    u32 size = s->sites[g.site].size, first = __builtin_ctz(g.mask);
    bool shared = g.address[first] - s->shared_low < s->shared_size;
    u64 before = c.sectors - c.ideal;
    c.requests++;
    c.lanes += lanes;
    c.bytes += (u64)lanes * size;
    c.shared += shared;
    u32 worse;
    if (shared) worse = cost_shared(c, g, size);
    else {
        cost_global(c, g, size);
        u64 after = c.sectors - c.ideal;                 // a broadcast may need fewer than its ideal: never below zero
        worse = after > before ? (u32)(after - before) : 0;
    }
    Pattern& p = s->patterns[g.site];
    u32 number = now - base;
    bool wanted = (s->chosen_block == ~0u || s->chosen_block == number) && (s->chosen_warp == ~0u || s->chosen_warp == warp);
    if (wanted && (p.mask == 0 || worse * 64 + lanes > p.cost)) {
        memcpy(p.address, g.address, sizeof p.address);
        p.mask = g.mask; p.block = number; p.warp = warp; p.cost = worse * 64 + lanes;
    }
}

// Sorts a warp's lists into requests. Lanes mostly do the same in the same order: the next group is where the last lane found it.
static void drain(u32 warp, bool all, bool at_end = false) {
    List<Group>& list = groups[warp];
    static List<u32> table, order;
    u32 first = warp * 32, last = first + 32 < count ? first + 32 : count, events = 0, most = 0;
    for (u32 t = first; t < last; t++) {
        events += threads[t].events;
        if (threads[t].events > most) most = threads[t].events;
    }
    if (events == 0 && !(all && list.count)) return;
    s->accesses += events;
    u32 size = 1024;
    while (size < 2 * (events + list.count)) size *= 2;
    table.fill(size, 0xff);
    auto find = [&](u32 key, u32 site, u32 lane) {
        u32 at = (key * 0x9E3779B1u ^ site * 0x85EBCA6Bu) & (size - 1);
        for (;; at = (at + 1) & (size - 1)) {
            if (table[at] == ~0u) {
                table[at] = list.count;
                Group& g = list.add();
                g.key = key; g.site = site; g.mask = 0; g.age = 0;
                return table[at];
            }
            Group& g = list[table[at]];
            if (g.key == key && g.site == site && !(g.mask >> lane & 1)) return table[at];
        }
    };
    for (u32 i = 0; i < list.count; i++) {
        u32 at = (list[i].key * 0x9E3779B1u ^ list[i].site * 0x85EBCA6Bu) & (size - 1);
        while (table[at] != ~0u) at = (at + 1) & (size - 1);
        table[at] = i;
        list[i].age++;
    }
    order.fill(most, 0xff);
    for (u32 t = first; t < last; t++) {
        Thread& thread = threads[t];
        u32 lane = t - first;
        for (u32 i = 0; i < thread.events; i++) {
            const Event& e = thread.event[i];
            u32 at = order[i];
            if (at == ~0u || list[at].key != e.key || list[at].site != e.site || list[at].mask >> lane & 1)
                at = order[i] = find(e.key, e.site, lane);
            Group& g = list[at];
            g.mask |= 1u << lane;
            g.age = 0;
            g.address[lane] = e.address;
        }
        thread.events = 0;
    }
    u32 whole = last - first == 32 ? ~0u : (1u << (last - first)) - 1, kept = 0;
    for (u32 i = 0; i < list.count; i++) {
        if (all || list[i].mask == whole || list[i].age > 0) settle(list[i], warp);
        else { if (kept != i) list[kept] = list[i]; kept++; }
    }
    list.count = kept;
    if (!s->timed_out && seconds() - started > s->seconds) {
        s->timed_out = 1;
        if (!at_end) image->stop();
    }
}

// A thread's list is full: the other lanes of its warp catch up first, then the lists are sorted.
static __attribute__((noinline)) void make_room(u32 t) {
    u32 first = t & ~31u, last = first + 32 < count ? first + 32 : count;
    while (threads[t].events == ROOM) {
        u32 behind = last;
        for (u32 j = first; j < last && behind == last; j++)
            if (j != t && image->fiber_state[j] == 0 && threads[j].events < ROOM) behind = j;
        if (behind == last) drain(t / 32, false);
        else image->run_fiber(behind);
    }
}

static inline void push(u32 t, u64 address, u32 site) {
    Thread& thread = threads[t];
    if (thread.events == ROOM) make_room(t);
    const Frame& f = thread.frames[thread.frame];
    u32 depth = f.block < 0 ? 0 : s->blocks[f.block].depth;
    thread.event[thread.events++] = {address, f.key[depth], site};
}

EXPORT void check_block(u32 id) {
    u32 t = *image->fiber_now;
    Thread& thread = threads[t];
    const Block& b = s->blocks[id];
    s->visits[id]++;
    if (b.flags & 4) {                                   // a function begins
        if (thread.frames[0].block >= 0 && thread.frame + 1 < CALLS) {
            const Frame& f = thread.frames[thread.frame];
            u32 key = f.key[s->blocks[f.block].depth];
            thread.frame++;
            thread.frames[thread.frame].key[0] = key * 31 + (u32)f.block + 1;
        } else if (thread.frames[0].block < 0) thread.frames[0].key[0] = 0;
        thread.frames[thread.frame].block = (int)id;
        return;
    }
    Frame& f = thread.frames[thread.frame];
    if (f.block >= 0 && s->costing && s->blocks[f.block].flags & 1) push(t, id, BRANCH | (u32)f.block);
    if (b.flags & 2) {
        const u32* around = s->loops + (size_t)f.block * DEPTH;
        bool again = f.block >= 0 && s->blocks[f.block].depth >= b.depth && around[b.depth - 1] == id;
        f.count[b.depth] = again ? f.count[b.depth] + 1 : 0;
        f.key[b.depth] = f.key[b.depth - 1] * 0x01000193u + f.count[b.depth] + 0x9E3779B9u * b.depth;
    }
    f.block = (int)id;
}
EXPORT void __tsan_func_entry(void*) {}
EXPORT void __tsan_func_exit() {
    Thread& thread = threads[*image->fiber_now];
    if (thread.frame > 0) thread.frame--;
}
EXPORT void __tsan_init() {}

// ---------------------------------------------------------------------------------------------------------------------
// Accesses

// The array that is meant by an address outside of all: the nearest one. Global arrays lie far apart.
static u32 nearest(const Array* list, u32 n, u64 address) {
    u32 best = 0;
    u64 distance = ~0ull;
    for (u32 i = 0; i < n; i++) {
        u64 d = address < list[i].low ? list[i].low - address : address - list[i].high;
        if (d < distance) distance = d, best = i;
    }
    return best;
}

static __attribute__((noinline)) void astray(u64 a, u32 site, u32 t, bool shared, bool write) {
    const Array* list = shared ? s->shared : s->arrays;
    u32 n = shared ? s->shared_count : s->array_count, i = n ? nearest(list, n, a) : 0;
    report(OUT_OF_BOUNDS, site, a, t, i, shared, write, 0, false);
    u64 d = n == 0 ? ~0ull : a < list[i].low ? list[i].low - a : a - list[i].high;
    if (!shared && d >= 8u << 20) image->stop();         // past the empty room around the array: the access itself would do harm
}

// A local variable, or the image's own.
static inline bool private_to_us(u64 a) {
    return a - s->stack_low < s->stack_size || (a - image_low < image_high - image_low && a - s->shared_low >= s->shared_size);
}

static inline void touch(u64 a, u32 site, u32 size, u32 kind, u32 t) {
    const bool shared = a - s->shared_low < s->shared_size, write = kind != READ;
    Array* array = nullptr;
    u32 number = 0;
    if (shared) {
        number = s->slot_of[(a - s->shared_low) >> 16];
        if (number != ~0u) array = &s->shared[number];
    } else {
        for (u32 i = 0; i < s->array_count && !array; i++)
            if (a - s->arrays[i].low < s->arrays[i].high - s->arrays[i].low) array = &s->arrays[number = i];
    }
    if (!array || a < array->low || a + size > array->high) return astray(a, site, t, shared, write);
    if (a & (size - 1)) report(MISALIGNED, site, a, t, number, shared, write, 0, false);
    u64 offset = a - array->base;
    unsigned char* w = array->written + offset;
    if (kind != WRITE)
        for (u32 i = 0; i < size; i++)
            if (w[i] != 1) { report(UNINITIALISED, site, a, t, number, shared, write, w[i], false); break; }
    if (write) memset(w, 1, size);
    const u64 me = stamp(t, site, kind == ATOMIC);
    for (u64 c = offset / s->cell; c <= (offset + size - 1) / s->cell; c++) {
        Cell& cell = array->cells[c];
        if (stamp_block(cell.write) < base) {
            if (write) array->writes += s->cell;
            if (kind != WRITE && stamp_block(cell.read) < base) array->reads += s->cell;
        }
        if (cell.write && !ordered(cell.write, t, shared) && !(kind == ATOMIC && stamp_atomic(cell.write)))
            report(RACE, site, a, t, number, shared, write, cell.write, true);
        if (write) {
            if (cell.read && !ordered(cell.read, t, shared)) report(RACE, site, a, t, number, shared, write, cell.read, false);
            else if (cell.other && !ordered(cell.other, t, shared)) report(RACE, site, a, t, number, shared, write, cell.other, false);
            cell.write = me;
            cell.read = cell.other = 0;
        } else if (!cell.read || ordered(cell.read, t, shared)) {
            cell.read = me;
            if (cell.other && ordered(cell.other, t, shared)) cell.other = 0;
        } else if (!cell.other || ordered(cell.other, t, shared)) cell.other = me;
    }
}

static void synchronise_by_atomic(u64 a) {
    Released* r = nullptr;
    for (Released& x : released) if (x.address == a) r = &x;
    if (!r && fenced) { r = &(released.add() = {a, {}}); }
    if (!r) return;
    for (u32 b : r->blocks) {
        bool known = false;
        for (u32 x : acquired) known |= x == b;
        if (!known) acquired.add() = b;
    }
    if (fenced && (r->blocks.count == 0 || r->blocks[r->blocks.count - 1] != now)) r->blocks.add() = now;
}

EXPORT void check_access(void* p, u32 site) {
    u64 a = (u64)p;
    if (private_to_us(a)) return;
    u32 t = *image->fiber_now;
    const Site& at = s->sites[site];
    if (at.kind == ATOMIC) synchronise_by_atomic(a);
    touch(a, site, at.size, at.kind, t);
    if (s->costing) push(t, a, site);
}

static void range(u64 a, u64 n, u32 site) {
    if (private_to_us(a)) return;
    u32 size = s->sites[site].size, t = *image->fiber_now;
    for (u64 i = 0; i + size <= n; i += size) {
        touch(a + i, site, size, s->sites[site].kind, t);
        if (s->costing) push(t, a + i, site);
    }
}
EXPORT void* check_memcpy(void* to, const void* from, u64 n, u32 site, u32 reads) {
    range((u64)from, n, reads);
    range((u64)to, n, site);
    return memcpy(to, from, n);
}
EXPORT void* check_memmove(void* to, const void* from, u64 n, u32 site, u32 reads) {
    range((u64)from, n, reads);
    range((u64)to, n, site);
    return memmove(to, from, n);
}
EXPORT void* check_memset(void* to, int value, u64 n, u32 site, u32) {
    range((u64)to, n, site);
    return memset(to, value, n);
}

// cp.async has been asked to fill these bytes: until its wait they are nobody's.
EXPORT void check_promise(void* p, u64 n) {
    u64 a = (u64)p;
    if (a - s->shared_low >= s->shared_size) return;
    u32 number = s->slot_of[(a - s->shared_low) >> 16];
    if (number == ~0u || a < s->shared[number].low || a + n > s->shared[number].high) return;
    memset(s->shared[number].written + (a - s->shared[number].base), 2, n);
}

#define ATOMICS(BITS, T) \
    EXPORT T __tsan_atomic##BITS##_load(const volatile T* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } \
    EXPORT void __tsan_atomic##BITS##_store(volatile T* p, T v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); } \
    EXPORT T __tsan_atomic##BITS##_exchange(volatile T* p, T v, int) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); } \
    EXPORT T __tsan_atomic##BITS##_fetch_add(volatile T* p, T v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); } \
    EXPORT T __tsan_atomic##BITS##_fetch_sub(volatile T* p, T v, int) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); } \
    EXPORT T __tsan_atomic##BITS##_fetch_and(volatile T* p, T v, int) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); } \
    EXPORT T __tsan_atomic##BITS##_fetch_or(volatile T* p, T v, int) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); } \
    EXPORT T __tsan_atomic##BITS##_fetch_xor(volatile T* p, T v, int) { return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST); } \
    EXPORT T __tsan_atomic##BITS##_compare_exchange_val(volatile T* p, T c, T v, int, int) { \
        __atomic_compare_exchange_n(p, &c, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); return c; }
ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, u32)
ATOMICS(64, u64)
EXPORT void __tsan_atomic_thread_fence(int) {}
EXPORT void __tsan_atomic_signal_fence(int) {}

// ---------------------------------------------------------------------------------------------------------------------
// Moments

EXPORT void check_fence() { fenced = true; }

EXPORT void check_block_begin(const CheckImage* from, const u32* g, const u32* b, u32 x, u32 y, u32 z) {
    if (image != from) dl_iterate_phdr(find_image, (void*)from);
    image = from;
    s->stack_low = (u64)*from->stacks - LAUNCH_STACK_ROOM;
    s->stack_size = LAUNCH_STACK_ROOM + (u64)1024 * LAUNCH_STACK_STRIDE;
    memcpy(grid, g, sizeof grid);
    memcpy(block, b, sizeof block);
    index_[0] = x; index_[1] = y; index_[2] = z;
    count = b[0] * b[1] * b[2];
    now = base + numbered(x + (u64)g[0] * (y + (u64)g[1] * z));
    s->blocks_run++;
    s->warps += (count + 31) / 32;
    for (u32 t = 0; t < count; t++) {
        clock_[t] = 1;
        at_barrier[t] = 0;
        threads[t].events = threads[t].frame = 0;
        threads[t].frames[0].block = -1;
    }
    memset(met, 0, sizeof met);
    fenced = false;
    acquired.count = 0;
    for (u32 w = 0; w < 32; w++) groups[w].count = 0;
    memset(seen, 0, sizeof(seen[0]) * count);
    for (u32 i = 0; i < s->shared_count; i++) memset(s->shared[i].written, 0, s->shared[i].high - s->shared[i].low);
}

// Returns whether the launch must end here.
EXPORT bool check_block_end() {
    for (u32 w = 0; w * 32 < count && !s->timed_out; w++) drain(w, true, true);
    return s->timed_out;
}

static void tick(u32 t) { if (clock_[t] < MAX_CLOCK) clock_[t]++; }

EXPORT void check_barrier(const char* file, int line) {
    for (u32 i = 0; i < BARRIERS; i++) {
        if (s->barrier_lines[i] == 0) { s->barrier_lines[i] = (u64)line; s->barrier_files[i] = (u64)file; }
        if (s->barrier_lines[i] == (u64)line && s->barrier_files[i] == (u64)file) { s->barrier_counts[i]++; break; }
    }
    for (u32 t = 0; t < count; t++) { at_barrier[t] = clock_[t]; tick(t); }
    for (u32 w = 0; w * 32 < count; w++) drain(w, true);
}

EXPORT void check_meeting(u32 first, u32 mask) {
    u32 joined[32] = {};
    for (u32 lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) continue;
        for (u32 j = 0; j < 32; j++) if (seen[first + lane][j] > joined[j]) joined[j] = seen[first + lane][j];
        if (clock_[first + lane] > joined[lane]) joined[lane] = clock_[first + lane];
    }
    for (u32 lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) continue;
        memcpy(seen[first + lane], joined, sizeof joined);
        tick(first + lane);
    }
}

// Before each launch. The block stamps run on from launch to launch; Python clears the shadows when they begin anew.
EXPORT void check_start(Settings* settings) {
    s = settings;
    if (!threads) threads = (Thread*)calloc(1024, sizeof(Thread));
    base = s->sequence;
    for (Released& r : released) free(r.blocks.at);
    released.count = 0;
    started = seconds();
}
