// What stands behind a watched access: is it inside its array, was the memory written, does another thread touch it unordered,
// and what does the warp's request cost. One image runs at a time, on one CPU thread, its blocks in order.
//
//   shadow     a cell per 4 bytes, or per byte once an array sees a smaller access: the last write and up to three reads, each a
//              stamp of block, thread, the thread's clock and the site. Of the reads of this block two are kept: of two warps, else
//              the lowest and the highest lane of one, so that whoever writes next without a barrier meets one that is not ordered;
//              the third is of another block. Words that atomics change have a second cell for those (`atomics`).
//   ordered    check_order.hpp
//   requests   each thread keeps its accesses in a short list, with the iteration of the loops it stands in. What the lanes of a
//              warp do at one site in one iteration is one request, as if they ran side by side. check_costs.hpp
//   locals     a thread's own arrays lie on its stack, with a shadow of their own: one byte a byte, written or not
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#define LAUNCH_STACK_BYTES (1 << 20)               // check.hpp has the same
#define LAUNCH_STACK_ROOM (64 << 20)
#include "denormals.h"
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

enum { READ, WRITE, ATOMIC, DIVIDE };
enum Kind { OUT_OF_BOUNDS, MISALIGNED, UNINITIALISED, RACE, READ_ONLY, DIVISION, ROUNDS };
enum Space { GLOBAL, SHARED, LOCAL };
enum { ROOM = 1024, DEPTH = 16, CALLS = 8, FINDINGS = 256, BARRIERS = 64, MAX_CLOCK = (1 << 17) - 1, TRAIL = 256, NOWHERE = 0xffff };
#define NONE 0xffffffffu
#define IN_SHARED 0x80000000u                      // of Site::root
#define LOCAL_LIMIT (512u << 10)                   // bytes of local memory that CUDA gives a thread

struct Cell { u64 write, near0, near1, far; };
#define HAS_ATOMICS 0x10000ull                     // in `write`: the word has a cell in `atomics`
struct Array {
    u64 low, high;                   // its bytes
    Cell* cells;
    unsigned char* written;          // one a byte: 0 never, 1 yes, 2 promised by cp.async
    u64 base;                        // address of the first cell and of the first byte of `written`
    u64 reads, writes;               // bytes that the launch reads before it writes them, and bytes that it writes; each counted once
    u64 reached;                     // the end of the last byte touched
    u32 shift, read_only;            // a cell is 1 << shift bytes
};
struct Site { u32 kind, size, align, root; };      // root: the array whose pointer it goes by (IN_SHARED | n: a shared one), or NONE
struct Block { u32 flags, depth, loop; u32 flops, flops64; };   // flags: 1 branches, 2 header, 4 entry; loop: innermost header
struct Finding {
    u32 kind, site, other, array, block[3], thread[3], other_block[3], other_thread[3], write, other_write, space, size, warp, unsent;
    u32 parted, same;                // the basic block whose branch parted two threads; how often a race wrote what was there
    u64 address, count;
};
struct Cost { u64 requests, lanes, bytes, sectors, ideal, passes, extra, shared, splits, executions; };
struct Pattern { u64 address[32]; u32 mask, block, warp, cost; };
struct Settings {
    const Site* sites; const Block* blocks; Array* arrays; Array* shared; const u32* loops;   // loops[block * DEPTH + d]
    Cost* costs; Pattern* patterns; Cost* branches; u64* visits; Finding* findings; u32* slot_of;
    u64 shared_low, shared_size, globals_low, globals_size, dynamic_bytes;
    u32 site_count, block_count, array_count, shared_count, finding_count, chosen_block, chosen_warp, timed_out;
    u64 barrier_lines[BARRIERS], barrier_counts[BARRIERS];
    char barrier_files[BARRIERS][256];
    u64 accesses, warps, blocks_run;
    double seconds;                  // the longest a launch may take
    u32 costing, sequence, finished;
    u32 signal, stopped_block, stopped_thread[3], stopped_index[3], deep;   // where the launch was when it was ended; deep: no stack left
    u32 parted, most_blocks;         // parted: of two threads that wait for one another; most_blocks: see launch.h
    u64 signal_address;
};
struct CheckImage { u32* fiber_now; unsigned char* fiber_state; char** stacks; void (*run_fiber)(u32); void (*stop)(); };

struct Event { u64 address; u32 key, site; };            // site: with BRANCH set, a block and its successor
#define BRANCH 0x80000000u
struct Frame { u32 key[DEPTH + 1], count[DEPTH + 1]; int block; };
struct Way { u32 from, to; };
struct Thread { u32 events, frame, ways; Event event[ROOM]; Frame frames[CALLS]; Way way[TRAIL]; };   // ways: taken since the last barrier
struct Group { u32 key, site, mask, age; u64 address[32]; };

static Settings* s;
static const CheckImage* image;
static Thread* threads;
static u32 count, base, now;                             // threads of a block; first block stamp of this launch; this block's
static u32 grid[3], block[3], index_[3];
static bool met[32];
static double started;
static List<Group> groups[32];                   // kept from one drain to the next, by warp
static char* stacks;
static unsigned char* local_written;             // one a byte of the stacks
static u64 stack_low, stack_size;

#include "check_order.hpp"

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

static void note_place() {                               // where the launch is
    if (!image) return;
    u32 t = *image->fiber_now;
    const Frame& f = threads[t].frames[threads[t].frame];
    s->stopped_block = f.block < 0 ? NONE : (u32)f.block;
    split(t, block, s->stopped_thread);
    memcpy(s->stopped_index, index_, sizeof index_);
}

static void watch_the_clock(bool at_end) {
    if (s->timed_out || seconds() - started <= s->seconds) return;
    s->timed_out = 1;
    note_place();
    if (!at_end) image->stop();
}

static Finding* report(u32 kind, u32 site, u64 address, u32 thread, u32 array, u32 space, bool write, u64 old, bool old_write) {
    u32 other = old ? stamp_site(old) : site, unsent = 0;
    if (kind == UNINITIALISED) unsent = (u32)old, other = site;
    for (u32 i = 0; i < s->finding_count; i++) {
        Finding& f = s->findings[i];
        if (f.kind == kind && f.site == site && f.other == other && f.array == array && f.space == space && f.write == write) {
            f.count++;
            if (kind == RACE && f.warp && stamp_thread(old) / 32 != thread / 32) {   // then it takes a barrier: show that one
                f.warp = 0;
                split(thread, block, f.thread);
                split(stamp_thread(old), block, f.other_thread);
                split_block(stamp_block(old) - base, f.other_block);
                memcpy(f.block, index_, sizeof index_);
                f.address = address;
            }
            return &f;
        }
    }
    if (s->finding_count == FINDINGS) return nullptr;
    Finding& f = s->findings[s->finding_count++];
    f = Finding();
    f.kind = kind; f.site = site; f.other = other; f.array = array; f.space = space; f.write = write; f.other_write = old_write;
    f.address = address; f.count = 1; f.size = s->sites[site].size; f.unsent = unsent; f.parted = NONE;
    memcpy(f.block, index_, sizeof index_);
    split(thread, block, f.thread);
    if (kind == RACE) {
        split_block(stamp_block(old) - base, f.other_block);
        split(stamp_thread(old), block, f.other_thread);
        f.warp = stamp_block(old) == now && stamp_thread(old) / 32 == thread / 32;
    }
    return &f;
}

// Two threads write unordered: is it the same value? The write follows its check, so at the next check it is there.
static struct { Finding* finding; u64 address; u32 size; unsigned char before[16]; } pending;
static __attribute__((noinline)) void settle_pending() {
    if (memcmp((void*)pending.address, pending.before, pending.size) == 0) pending.finding->same++;
    pending.finding = nullptr;
}
#define SETTLE_PENDING() do { if (__builtin_expect(pending.finding != nullptr, 0)) settle_pending(); } while (0)

#include "check_costs.hpp"

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

// Others may run here: before an access is checked, never between its check and itself.
static inline void have_room(u32 t) { if (__builtin_expect(threads[t].events == ROOM, 0)) make_room(t); }

static inline void push(u32 t, u64 address, u32 site) {
    Thread& thread = threads[t];
    have_room(t);
    const Frame& f = thread.frames[thread.frame];
    u32 depth = f.block < 0 ? 0 : s->blocks[f.block].depth;
    thread.event[thread.events++] = {address, f.key[depth], site};
}

static void need_stack(u32 t, u64 at) {                  // a thread's locals, and a margin for the calls behind them
    u64 low = stack_low + LAUNCH_STACK_ROOM + (u64)t * LAUNCH_STACK_STRIDE;
    if (at - stack_low >= stack_size || at >= low + LAUNCH_STACK_BYTES - LOCAL_LIMIT) return;
    s->deep = 1;
    note_place();
    image->stop();
}

EXPORT void check_block(u32 id) {
    static u32 steps;
    SETTLE_PENDING();
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
        return need_stack(t, (u64)__builtin_frame_address(0));
    }
    Frame& f = thread.frames[thread.frame];
    if (f.block >= 0 && s->blocks[f.block].flags & 1) {
        if (thread.ways < TRAIL) thread.way[thread.ways++] = {(u32)f.block, id};
        if (s->costing) push(t, id, BRANCH | (u32)f.block);
    }
    if (b.flags & 2) {
        const u32* around = s->loops + (size_t)f.block * DEPTH;
        bool again = f.block >= 0 && s->blocks[f.block].depth >= b.depth && around[b.depth - 1] == id;
        f.count[b.depth] = again ? f.count[b.depth] + 1 : 0;
        f.key[b.depth] = f.key[b.depth - 1] * 0x01000193u + f.count[b.depth] + 0x9E3779B9u * b.depth;
        if (!(++steps & 0x3ffff)) watch_the_clock(false);
    }
    f.block = (int)id;
}
EXPORT void __tsan_func_entry(void*) {}
EXPORT void __tsan_func_exit() {
    SETTLE_PENDING();
    Thread& thread = threads[*image->fiber_now];
    if (thread.frame > 0) thread.frame--;
}
EXPORT void __tsan_init() {}

// ---------------------------------------------------------------------------------------------------------------------
// Accesses

static u64 distance_of(const Array& array, u64 address) {
    return address < array.low ? array.low - address : address >= array.high ? address - array.high : 0;
}

// The array that is meant by an access that is not inside one: the nearest one. Global arrays lie far apart.
static u32 nearest(const Array* list, u32 n, u64 address, u64* apart) {
    u32 best = 0;
    *apart = ~0ull;
    for (u32 i = 0; i < n; i++) {
        u64 d = distance_of(list[i], address);
        if (d < *apart) *apart = d, best = i;
    }
    return best;
}

static __attribute__((noinline)) void astray(u64 a, u32 site, u32 t, u32 root, bool write) {
    const bool in_shared = a - s->shared_low < s->shared_size;
    u64 apart;
    u32 close = nearest(s->arrays, s->array_count, a, &apart);
    bool shared = root == NONE ? in_shared : root & IN_SHARED;
    u32 i = root != NONE ? root & ~IN_SHARED : !in_shared ? close : s->shared_count ? nearest(s->shared, s->shared_count, a, &apart) : 0;
    report(OUT_OF_BOUNDS, site, a, t, i, shared, write, 0, false);
    if (in_shared || a - s->globals_low < s->globals_size) return;
    nearest(s->arrays, s->array_count, a, &apart);
    if (apart >= 8u << 20) { note_place(); image->stop(); }   // past the empty room around the arrays: the access itself would do harm
}

static inline bool in_stacks(u64 a) { return a - stack_low < stack_size; }
// The image's own memory, where no variable of the text lies.
static inline bool in_image(u64 a) {
    return a - image_low < image_high - image_low && a - s->shared_low >= s->shared_size && a - s->globals_low >= s->globals_size;
}

// Smaller pieces than its cells: from now on the array has a cell a byte.
static __attribute__((noinline)) void refine(Array* array) {
    u64 bytes = array->high - array->base, cells = (bytes >> array->shift) + 2, each = 1u << array->shift;
    Cell* fine = (Cell*)mmap(nullptr, cells * each * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fine == MAP_FAILED) abort();
    for (u64 c = 0; c < cells - 1; c++) {
        const Cell& old = array->cells[c];
        if (stamp_block(old.write) < base && stamp_block(old.near0) < base && stamp_block(old.far) < base) continue;
        for (u64 i = 0; i < each; i++) {
            fine[c * each + i] = old;
            fine[c * each + i].write &= ~HAS_ATOMICS;    // they were of whole words: other bytes than these
        }
    }
    array->cells = fine;
    array->shift = 0;
}

// Whom the next writer must come after. Dropped: what comes before me, for who comes after me comes after that.
static inline void keep_access(Cell& c, u64 me, u32 t, bool shared) {
    if (!c.near0 || ordered(c.near0, t, shared)) {
        c.near0 = me;
        if (c.near1 && ordered(c.near1, t, shared)) c.near1 = 0;
    } else if (stamp_block(c.near0) != now) {
        if (!c.far || ordered(c.far, t, shared)) c.far = c.near0;
        c.near0 = me;
        c.near1 = 0;
    } else if (!c.near1 || ordered(c.near1, t, shared)) {
        c.near1 = me;
        if (stamp_thread(c.near0) > t) c.near1 = c.near0, c.near0 = me;
    } else {
        u32 low = stamp_thread(c.near0), high = stamp_thread(c.near1);
        if (low / 32 != high / 32) return;
        if (t / 32 != low / 32) c.near1 = me;
        else if (t < low) c.near0 = me;
        else if (t > high) c.near1 = me;
    }
}

struct AtomicCell { Cell* key; Cell of; };
static List<AtomicCell> atomics;
static List<u32> atomic_table;

static Cell& atomics_of(Cell* cell) {
    if (atomic_table.count < 2 * atomics.count + 64) {
        atomic_table.fill(4 * atomics.count + 256, 0);
        for (u32 i = 0; i < atomics.count; i++) {
            u32 at = (u32)((u64)atomics[i].key / sizeof(Cell) * 0x9E3779B1u) % atomic_table.count;
            while (atomic_table[at]) at = (at + 1) % atomic_table.count;
            atomic_table[at] = i + 1;
        }
    }
    u32 at = (u32)((u64)cell / sizeof(Cell) * 0x9E3779B1u) % atomic_table.count;
    for (; atomic_table[at]; at = (at + 1) % atomic_table.count)
        if (atomics[atomic_table[at] - 1].key == cell) return atomics[atomic_table[at] - 1].of;
    atomics.add() = {cell, {}};
    atomic_table[at] = atomics.count;
    return atomics[atomics.count - 1].of;
}

// A word that atomics change: plain accesses against the atomics that are kept, an atomic beside them.
static __attribute__((noinline)) void touch_atomics(Cell& cell, u64 a, u32 site, u32 kind, u32 t, u32 number, bool shared, u64 me) {
    Cell& others = atomics_of(&cell);
    if (stamp_block(others.near0) < base && stamp_block(others.far) < base) others = Cell();
    if (kind == ATOMIC) return keep_access(others, me, t, shared);
    const u64 kept[3] = {others.near0, others.near1, others.far};
    for (u64 old : kept)
        if (old && !ordered(old, t, shared) && !ordered_on_its_word(old, t, a)) {
            report(RACE, site, a, t, number, shared, kind != READ, old, true);
            break;
        }
    if (kind == WRITE) others = Cell();
}

static inline void touch(u64 a, u32 site, u32 size, u32 kind, u32 t) {
    const Site& at = s->sites[site];
    const bool write = kind != READ;
    bool shared;
    Array* array = nullptr;
    u32 number = 0;
    if (at.root != NONE) {
        shared = at.root & IN_SHARED;
        number = at.root & ~IN_SHARED;
        array = shared ? &s->shared[number] : &s->arrays[number];
    } else if ((shared = a - s->shared_low < s->shared_size)) {
        number = s->slot_of[(a - s->shared_low) >> 16];
        if (number != ~0u) array = &s->shared[number];
    } else {
        for (u32 i = 0; i < s->array_count && !array; i++)
            if (a - s->arrays[i].low < s->arrays[i].high - s->arrays[i].low) array = &s->arrays[number = i];
    }
    if (!array || a < array->low || a + size > array->high) return astray(a, site, t, at.root, write);
    if (a & (at.align - 1)) report(MISALIGNED, site, a, t, number, shared, write, 0, false);
    if (write && array->read_only) report(READ_ONLY, site, a, t, number, shared, write, 0, false);
    if (__builtin_expect(size < 1u << array->shift, 0)) refine(array);
    if (a + size > array->reached) array->reached = a + size;
    u64 offset = a - array->base;
    unsigned char* w = array->written + offset;
    if (kind != WRITE)
        for (u32 i = 0; i < size; i++)
            if (w[i] != 1) { report(UNINITIALISED, site, a, t, number, shared, write, w[i], false); break; }
    if (write) memset(w, 1, size);
    const u64 me = stamp(t, site);
    bool raced = false;
    for (u64 c = offset >> array->shift; c <= (offset + size - 1) >> array->shift; c++) {
        Cell& cell = array->cells[c];
        if (stamp_block(cell.write) < base) {                        // of an earlier launch, or nothing
            cell.write = 0;
            if (stamp_block(cell.near0) < base) cell.near0 = cell.near1 = cell.far = 0;
            if (write) array->writes += 1u << array->shift;
            if (kind != WRITE && !cell.near0) array->reads += 1u << array->shift;
        }
        const u64 old = cell.write;
        if (old && stamp_site(old) != NOWHERE && !ordered(old, t, shared)) {
            Finding* f = report(RACE, site, a, t, number, shared, write, old, true);
            if (f && raced && f == pending.finding) f->count--;      // the next cell of the same access
            else if (f && kind == WRITE && !raced && size <= 16) {
                pending = {f, a, size, {}};
                memcpy(pending.before, (void*)a, size);
            }
            raced = true;
        }
        if (kind == READ) {
            if (__builtin_expect((old & HAS_ATOMICS) != 0, 0)) touch_atomics(cell, a, site, kind, t, number, shared, me);
            keep_access(cell, me, t, shared);
            continue;
        }
        u64 late = 0;                                                // a read that nothing orders: best one of another warp
        if (cell.near0 && !ordered(cell.near0, t, shared)) late = cell.near0;
        if (cell.near1 && (!late || stamp_thread(late) / 32 == t / 32) && !ordered(cell.near1, t, shared)) late = cell.near1;
        if (cell.far && !late && !ordered(cell.far, t, shared)) late = cell.far;
        if (late) report(RACE, site, a, t, number, shared, write, late, false);
        if (kind == ATOMIC) {
            cell.write = (old ? old : (u64)base << 44 | NOWHERE) | HAS_ATOMICS;
            touch_atomics(cell, a, site, kind, t, number, shared, me);
        } else {
            if (__builtin_expect((old & HAS_ATOMICS) != 0, 0)) touch_atomics(cell, a, site, kind, t, number, shared, me);
            cell = {me | (old & HAS_ATOMICS), 0, 0, 0};
        }
    }
}

EXPORT void check_access(void* p, u32 site) {
    SETTLE_PENDING();
    u64 a = (u64)p;
    const Site& at = s->sites[site];
    if (at.root == NONE) {
        if (in_stacks(a)) { if (at.kind != READ) memset(local_written + (a - stack_low), 1, at.size); return; }
        if (in_image(a)) return;
    }
    u32 t = *image->fiber_now;
    if (s->costing) have_room(t);
    if (at.kind == ATOMIC) synchronise_by_atomic(a, t);
    touch(a, site, at.size, at.kind, t);
    if (s->costing) push(t, a, site);
}

// A thread's own array, or one of constants, whose place the text names: where to go instead, if it is outside.
static unsigned char nowhere[64];
EXPORT void* check_local(void* p, void* array, u64 bytes, u32 site, u32 check_written) {
    SETTLE_PENDING();
    const Site& at = s->sites[site];
    u64 offset = (u64)p - (u64)array;
    if (__builtin_expect(offset + at.size > bytes || offset > bytes, 0)) {
        report(OUT_OF_BOUNDS, site, offset, *image->fiber_now, at.root, LOCAL, at.kind == WRITE, 0, false);
        memset(nowhere, 0, sizeof nowhere);
        return nowhere;
    }
    if (!check_written || !in_stacks((u64)p)) return p;
    unsigned char* w = local_written + ((u64)p - stack_low);
    if (at.kind == WRITE) memset(w, 1, at.size);
    else for (u32 i = 0; i < at.size; i++)
        if (!w[i]) { report(UNINITIALISED, site, offset, *image->fiber_now, at.root, LOCAL, false, 0, false); break; }
    return p;
}
EXPORT void check_local_begin(void* array, u64 bytes) { if (in_stacks((u64)array)) memset(local_written + ((u64)array - stack_low), 0, bytes); }

// The header's own look at a word before it changes it: only whether there is one.
EXPORT void check_reach(void* p, u32 site) {
    SETTLE_PENDING();
    u64 a = (u64)p;
    const Site& at = s->sites[site];
    if (at.root == NONE && (in_stacks(a) || in_image(a))) return;
    const Array* array = at.root == NONE ? nullptr : at.root & IN_SHARED ? &s->shared[at.root & ~IN_SHARED] : &s->arrays[at.root];
    if (array ? a >= array->low && a + at.size <= array->high : a - s->shared_low < s->shared_size) return;
    for (u32 i = 0; i < s->array_count && !array; i++) if (a - s->arrays[i].low < s->arrays[i].high - s->arrays[i].low) return;
    astray(a, site, *image->fiber_now, at.root, true);
}

static bool range(u64 a, u64 n, u32 site) {
    const Site& at = s->sites[site];
    if (in_stacks(a)) { if (at.kind != READ && n <= stack_size) memset(local_written + (a - stack_low), 1, n); return true; }
    if (at.root == NONE && in_image(a)) return true;
    u32 t = *image->fiber_now, before = s->finding_count;
    for (u64 i = 0; i < n;) {
        u32 size = 16;
        while (size > 1 && (i + size > n || (a + i) & (size - 1))) size /= 2;
        pending.finding = nullptr;                       // of the piece before, which is not written yet
        if (s->costing) have_room(t);
        touch(a + i, site, size, at.kind, t);
        if (s->costing && size >= at.size) push(t, a + i, site);
        i += size;
        if (s->finding_count != before && n > 1 << 20) break;        // a wild length: one finding of it is enough
    }
    return true;
}
EXPORT void* check_memcpy(void* to, const void* from, u64 n, u32 site, u32 reads) {
    SETTLE_PENDING();
    range((u64)from, n, reads);
    range((u64)to, n, site);
    return memcpy(to, from, n);
}
EXPORT void* check_memmove(void* to, const void* from, u64 n, u32 site, u32 reads) {
    SETTLE_PENDING();
    range((u64)from, n, reads);
    range((u64)to, n, site);
    return memmove(to, from, n);
}
EXPORT void* check_memset(void* to, int value, u64 n, u32 site, u32) {
    SETTLE_PENDING();
    range((u64)to, n, site);
    return memset(to, value, n);
}

// Integer division: by zero, or the one quotient that does not fit. A GPU goes on with some value; a CPU would end.
#define DIVISION(BITS, U, LEAST) \
    EXPORT U check_divide##BITS(U a, U b, u32 site) { \
        if (__builtin_expect(b == 0, 0)) { report(DIVISION, site, 0, *image->fiber_now, 0, LOCAL, false, 0, false); return 1; } \
        return s->sites[site].align && b == (U)-1 && a == (U)LEAST ? 1 : b; }
DIVISION(8, uint8_t, 1u << 7)
DIVISION(16, uint16_t, 1u << 15)
DIVISION(32, u32, 1u << 31)
DIVISION(64, u64, 1ull << 63)

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
    EXPORT T __tsan_atomic##BITS##_fetch_nand(volatile T* p, T v, int) { return __atomic_fetch_nand(p, v, __ATOMIC_SEQ_CST); } \
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

EXPORT void check_fence(bool device) {
    if (!image) return;
    u32 t = *image->fiber_now;
    (device ? fence_of_device : fence_of_block)[t] = clock_[t];
    ever_fenced = true;
    tick(t);
}

// The first branch at which two threads went different ways since the last barrier.
static u32 where_parted(u32 a, u32 b) {
    const Thread &x = threads[a], &y = threads[b];
    for (u32 i = 0; i < x.ways && i < y.ways; i++) {
        if (x.way[i].from != y.way[i].from) return NONE;
        if (x.way[i].to != y.way[i].to) return x.way[i].from;
    }
    return NONE;
}
EXPORT void check_stuck(u32 thread, u32 other) { s->parted = thread < count && other < count ? where_parted(thread, other) : NONE; }

EXPORT void check_block_begin(const CheckImage* from, const u32* g, const u32* b, u32 x, u32 y, u32 z) {
    if (image != from) dl_iterate_phdr(find_image, (void*)from);
    image = from;
    memcpy(grid, g, sizeof grid);
    memcpy(block, b, sizeof block);
    index_[0] = x; index_[1] = y; index_[2] = z;
    count = b[0] * b[1] * b[2];
    now = base + numbered(x + (u64)g[0] * (y + (u64)g[1] * z));
    s->blocks_run++;
    s->warps += (count + 31) / 32;
    for (u32 t = 0; t < count; t++) {
        threads[t].events = threads[t].frame = threads[t].ways = 0;
        threads[t].frames[0].block = -1;
    }
    order_at_block();
    for (u32 w = 0; w < 32; w++) groups[w].count = 0;
    for (u32 i = 0; i < s->shared_count; i++) memset(s->shared[i].written, 0, s->shared[i].high - s->shared[i].low);
}

// Returns whether the launch must end here.
EXPORT bool check_block_end() {
    SETTLE_PENDING();
    for (u32 w = 0; w * 32 < count && !s->timed_out; w++) drain(w, true, true);
    return s->timed_out;
}

// All threads of the block meet at one line: in the same round of each loop around it?
static void compare_rounds(u32 place) {
    const Thread& first = threads[0];
    const Frame& a = first.frames[first.frame];
    if (a.block < 0) return;
    for (u32 t = 1; t < count; t++) {
        const Thread& thread = threads[t];
        const Frame& b = thread.frames[thread.frame];
        if (thread.frame != first.frame || b.block < 0) continue;
        u32 depth = s->blocks[a.block].depth, d = 1;
        const bool copies = a.block != b.block;              // of an unrolled loop's body, or of a function called from two places
        while (!copies && d <= depth && a.count[d] == b.count[d]) d++;
        if (!copies && d > depth) continue;
        Finding* f = report(ROUNDS, 0, copies ? 0 : a.count[d] + 1, 0, place, LOCAL, false, 0, false);
        if (!f || f->count > 1) return;
        split(t, block, f->other_thread);
        f->unsent = (u32)a.block;
        f->warp = (u32)b.block;
        f->size = copies ? 0 : b.count[d] + 1;
        f->parted = where_parted(0, t);
        return;
    }
}

EXPORT void check_barrier(const char* file, int line) {
    SETTLE_PENDING();
    for (u32 i = 0; i < BARRIERS; i++) {
        if (s->barrier_lines[i] == 0) { s->barrier_lines[i] = (u64)line; strncpy(s->barrier_files[i], file, sizeof s->barrier_files[i] - 1); }
        if (s->barrier_lines[i] == (u64)line && strcmp(s->barrier_files[i], file) == 0) { s->barrier_counts[i]++; compare_rounds(i); break; }
    }
    order_at_barrier();
    for (u32 t = 0; t < count; t++) threads[t].ways = 0;
    for (u32 w = 0; w * 32 < count; w++) drain(w, true);
}

EXPORT void check_meeting(u32 first, u32 mask) { SETTLE_PENDING(); order_at_meeting(first, mask); }

// ---------------------------------------------------------------------------------------------------------------------
// Launches

// In a process of its own a launch is ended where it stands; what has been found lies in memory that the caller shares.
static void ended(int number, siginfo_t* info, void*) {
    s->signal = (u32)number;
    s->signal_address = (u64)info->si_addr;
    note_place();
    if (number == SIGSEGV || number == SIGBUS) {
        u64 low = stack_low + LAUNCH_STACK_ROOM + (image ? (u64)*image->fiber_now * LAUNCH_STACK_STRIDE : 0);
        s->deep = s->signal_address - stack_low < stack_size && s->signal_address < low + LAUNCH_STACK_BYTES - LOCAL_LIMIT;
    }
    if (number == SIGALRM || number == SIGXCPU) s->timed_out = 1;
    _exit(0);
}

static void handle_signals() {
    static char own[1 << 16];
    stack_t other = {};
    other.ss_sp = own;
    other.ss_size = sizeof own;
    sigaltstack(&other, nullptr);
    struct sigaction act = {};
    act.sa_sigaction = ended;
    act.sa_flags = SA_SIGINFO | SA_ONSTACK;
    const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGALRM, SIGXCPU};
    for (int number : numbers) sigaction(number, &act, nullptr);
    itimerval timer = {};
    timer.it_value.tv_sec = (long)s->seconds;
    timer.it_value.tv_usec = (long)((s->seconds - (double)(long)s->seconds) * 1e6) + 1;
    setitimer(ITIMER_REAL, &timer, nullptr);
}

// Room for the stacks, before a process is confined.
EXPORT void check_prepare() {
    if (stacks) return;
    stack_size = LAUNCH_STACK_ROOM + (u64)1024 * LAUNCH_STACK_STRIDE;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    stacks = (char*)mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, flags, -1, 0);
    local_written = (unsigned char*)mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (stacks == MAP_FAILED || local_written == MAP_FAILED) abort();
    stack_low = (u64)stacks;
}

// The block stamps run on from launch to launch; Python clears the shadows when they begin anew.
EXPORT void check_start(Settings* settings, u32 blocks) {
    s = settings;
    image = nullptr;
    pending.finding = nullptr;
    if (!threads) threads = (Thread*)calloc(1024, sizeof(Thread));
    check_prepare();
    base = s->sequence;
    atomics.count = atomic_table.count = 0;
    order_at_launch(blocks);
    started = seconds();
}

// Runs a launch to its end, or until it is ended. Returns launch->failed.
EXPORT int check_run(Settings* settings, RunBlocks run, Launch* launch, int alone) {
    u64 blocks = (u64)launch->grid[0] * launch->grid[1] * launch->grid[2];
    check_start(settings, (u32)(settings->most_blocks && settings->most_blocks < blocks ? settings->most_blocks : blocks));
    if (alone) handle_signals();
    unsigned long long old = flush_denormals();
    run(launch, 0, blocks, stacks + LAUNCH_STACK_ROOM);
    restore_denormals(old);
    fflush(stdout);
    s->finished = 1;
    return launch->failed;
}
