// A multiprocessor for tests: runs one block after the other of a kernel whose PTX Python has decoded (program.py).
//
//   warps      32 lanes in lockstep: one instruction is one loop over the lanes. Lanes that part at a branch run as
//              groups, the one with the lowest place in the text first, and join again where their places meet
//   collective a shuffle, a vote, a matrix product: acts when all lanes that its mask names are there
//   barrier    a warp runs until all its lanes wait; then the next warp runs
//   memory     every access is checked for its alignment, and to lie in one array of the launch, one shared variable,
//              or the thread's own local memory. Shared and local memory begin as NaN
//   registers  a slot holds one 32-bit register of a warp, 32 lanes; a 64-bit register takes two slots side by side
//   order      blocks, warps and lanes in rising or falling order; `apart`: each lane alone from meeting to meeting
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "denormals.h"

#if defined(__clang__)
#define TOGETHER _Pragma("clang loop vectorize(assume_safety)")
#else
#define TOGETHER _Pragma("GCC ivdep")
#endif

typedef uint16_t Slot;
enum { LANES = 32, SLOT_BYTES = 128, NO_SLOT = 0xffff, ADDRESS = 15 };    // ADDRESS: which operand holds one
enum Kind : uint8_t { PLAIN, LABEL, BRANCH, EXIT, BARRIER, COLLECTIVE };
enum Space : uint8_t { GENERIC, GLOBAL, SHARED, LOCAL };
enum Flag : uint16_t { NEGATED = 1, ADDRESS32 = 2 };                       // of the guard; the address is a 32-bit register
const uint32_t POISON = 0x7fc5a5a5;                                        // a NaN that no arithmetic makes
const uint64_t WINDOW = 1ull << 56;                                        // generic addresses: 1 shared, 2 local
const uint32_t SHARED_START = 1024;                                        // shared addresses begin here, as on sm_90

struct Warp;
struct Instruction;
typedef void (*Handler)(Warp&, const Instruction&);

struct alignas(64) Instruction {
    Handler run;
    int64_t offset;                          // added to the address; or a number that the instruction needs
    Slot r[16];                              // destinations, then sources
    Slot guard;                              // a predicate, or NO_SLOT
    uint16_t flags;
    Kind kind;
    uint8_t size, count, space;              // of a memory access: bytes an element, elements, where
    mutable int32_t target;                  // of a branch; of a memory access: the region that it last went to
    int32_t mask;                            // the operand that holds a collective's mask, or -1: all lanes of the warp;
                                             // of cp.async: added to the address that it reads
};

struct Region { uint64_t first, last; uint64_t writable; };               // [first, last)
struct Constant { uint64_t bits; uint32_t slot, wide; };
struct Special { uint32_t what, slot; };
struct Copy { char *to, *from; uint32_t bytes, given, thread, group; };    // cp.async on its way

struct Fault { int32_t place, thread; uint64_t block, address; char message[240]; };

struct Launch {                              // as machine.py lays it out
    const Instruction* code;
    const Constant* constants;
    const Special* specials;
    const Region *regions, *shared_regions;
    uint32_t constant_count, special_count, region_count, shared_region_count;
    uint32_t slots, shared_bytes, local_bytes, reversed, apart, dynamic_bytes;
    uint32_t grid[3], block[3];
    uint64_t most_steps;                     // instructions of one warp: more is a loop without an end
    Fault fault;
};

enum State : uint8_t { READY, AT_COLLECTIVE, AT_BARRIER };
struct Group { int32_t place; uint32_t lanes; State state; };

struct Block {
    Launch* launch;
    char *shared, *local;
    uint32_t index[3], threads;
    Copy* copies;
    uint32_t copy_count, copy_room;
    uint32_t *open;                          // of each thread: the number of its cp.async group that is open
    uint32_t votes, voters;                  // of bar.red
    jmp_buf failed;
};

struct Warp {
    Block* block;
    char* registers;
    uint32_t number, alive, lanes;           // lanes: those that run now
    bool all;                                // every living lane runs: what dead ones get does not matter
    alignas(64) int32_t mask[LANES];         // the same, -1 or 0 a lane
    int32_t place;
    Group groups[LANES];
    int group_count;
    uint64_t steps;

    template <class T> T* slot(Slot s) const { return (T*)(registers + (size_t)s * SLOT_BYTES); }
};

[[noreturn]] static void fail(Warp& w, int lane, uint64_t address, const char* format, ...) {
    Launch* launch = w.block->launch;
    Fault& fault = launch->fault;
    va_list list;
    va_start(list, format);
    vsnprintf(fault.message, sizeof fault.message, format, list);
    va_end(list);
    const uint32_t *b = w.block->index, *g = launch->grid;
    fault.place = w.place;
    fault.thread = (int32_t)(w.number * LANES + lane);
    fault.block = ((uint64_t)b[2] * g[1] + b[1]) * g[0] + b[0];
    fault.address = address;
    longjmp(w.block->failed, 1);
}

static void activate(Warp& w, uint32_t lanes) {
    w.lanes = lanes;
    w.all = lanes == w.alive;
    for (int k = 0; k < LANES; k++) w.mask[k] = -(int32_t)(lanes >> k & 1);
}

// Calls work(lane) for each lane that runs, in the launch's order.
template <class Work> static inline void each_lane(const Warp& w, Work work) {
    if (w.lanes == 0xffffffffu && !w.block->launch->reversed) {
        for (int k = 0; k < LANES; k++) work(k);
    } else if (!w.block->launch->reversed) {
        for (uint32_t left = w.lanes; left; left &= left - 1) work(__builtin_ctz(left));
    } else {
        for (uint32_t left = w.lanes; left;) {
            int k = 31 - __builtin_clz(left);
            left &= ~(1u << k);
            work(k);
        }
    }
}

// to[k] = value(k) in the lanes that run.
template <class D, class Value> static inline void put(Warp& w, Slot to, Value value) {
    D* d = w.slot<D>(to);
    if (w.all) {
        TOGETHER for (int k = 0; k < LANES; k++) d[k] = value(k);
    } else {
        const int32_t* mask = w.mask;
        TOGETHER for (int k = 0; k < LANES; k++) d[k] = mask[k] ? value(k) : d[k];
    }
}

static inline uint32_t bits_of(const uint32_t* predicate) {
    uint32_t bits = 0;
    for (int k = 0; k < LANES; k++) bits |= (predicate[k] & 1u) << k;
    return bits;
}

// The lanes that run and whose guard holds.
static inline uint32_t guarded(const Warp& w, const Instruction& i) {
    if (i.guard == NO_SLOT) return w.lanes;
    uint32_t bits = bits_of(w.slot<uint32_t>(i.guard));
    return (i.flags & NEGATED ? ~bits : bits) & w.lanes;
}

// Memory

static void poison(char* memory, size_t bytes) {
    for (size_t i = 0; i + 4 <= bytes; i += 4) memcpy(memory + i, &POISON, 4);
}

static inline uint64_t address_of(const Warp& w, const Instruction& i, int lane) {
    uint64_t base = i.flags & ADDRESS32 ? w.slot<uint32_t>(i.r[ADDRESS])[lane] : w.slot<uint64_t>(i.r[ADDRESS])[lane];
    return base + (uint64_t)i.offset;
}

struct Regions { const Region* all; uint32_t count; };

static inline Regions regions_of(const Warp& w, bool shared) {
    const Launch* l = w.block->launch;
    return shared ? Regions{l->shared_regions, l->shared_region_count} : Regions{l->regions, l->region_count};
}

// The number of the last region that begins at or before an address, or 0.
static uint32_t region_at(Regions regions, uint64_t address) {
    uint32_t low = 0, high = regions.count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (regions.all[middle].first <= address) low = middle + 1;
        else high = middle;
    }
    return low ? low - 1 : 0;
}

static inline bool inside(Regions regions, uint32_t number, uint64_t address, uint32_t bytes) {
    if (number >= regions.count) return false;
    const Region& r = regions.all[number];
    return r.last - r.first >= bytes && address - r.first <= r.last - r.first - bytes;
}

// Where one lane's bytes lie in this process.
static char* spot(Warp& w, const Instruction& i, Space space, int lane, uint64_t address, uint32_t bytes, bool write) {
    const char* what = write ? "writes" : "reads";
    Launch* launch = w.block->launch;
    uint64_t given = address;
    if (address & (bytes - 1)) fail(w, lane, given, "%s %u bytes at an address that is no multiple of %u", what, bytes, bytes);
    if (space == GENERIC) {
        uint64_t window = address / WINDOW;
        space = window == 1 ? SHARED : window == 2 ? LOCAL : GLOBAL;
        address -= window == 1 || window == 2 ? window * WINDOW : 0;
    }
    if (space == LOCAL) {
        if (address > launch->local_bytes || launch->local_bytes - address < bytes)
            fail(w, lane, given, "%s %u bytes outside of its local memory", what, bytes);
        return w.block->local + (size_t)(w.number * LANES + lane) * launch->local_bytes + address;
    }
    bool shared = space == SHARED;
    Regions regions = regions_of(w, shared);
    uint32_t number = (uint32_t)i.target;
    if (!inside(regions, number, address, bytes)) {
        number = region_at(regions, address);
        if (!inside(regions, number, address, bytes))
            fail(w, lane, given, "%s %u bytes outside of every %s", what, bytes, shared ? "shared variable" : "array");
        i.target = (int32_t)number;
    }
    if (write && !regions.all[number].writable) fail(w, lane, given, "writes %u bytes to constant memory", bytes);
    return shared ? w.block->shared + (address - SHARED_START) : (char*)address;
}

// at[k] = base + address of lane k, for addresses in registers of type A. Returns 0 if all that run lie in one region.
template <class A>
static inline uint64_t quick_spots(const Warp& w, const Instruction& i, const Region& r, char* base, char** at) {
    const A* a = w.slot<A>(i.r[ADDRESS]);
    const uint64_t bytes = i.size * i.count, first = r.first, room = r.last - r.first - bytes, offset = (uint64_t)i.offset;
    const int32_t* mask = w.mask;
    uint64_t bad = 0;
    for (int k = 0; k < LANES; k++) {
        uint64_t address = a[k] + offset;
        bad |= ((uint64_t)(address - first > room) | (address & (bytes - 1))) & (uint64_t)(int64_t)mask[k];
        at[k] = base + address;
    }
    return bad;
}

// Where the bytes of all lanes that run lie: at[lane].
static inline void spots(Warp& w, const Instruction& i, bool write, char** at) {
    const uint32_t bytes = i.size * i.count;
    if (i.space == GLOBAL || i.space == SHARED) {                      // most accesses: all lanes in one region
        Regions regions = regions_of(w, i.space == SHARED);
        if ((uint32_t)i.target < regions.count) {
            const Region& r = regions.all[i.target];
            char* base = i.space == SHARED ? w.block->shared - SHARED_START : nullptr;
            if ((r.writable || !write) && r.last - r.first >= bytes
                && !(i.flags & ADDRESS32 ? quick_spots<uint32_t>(w, i, r, base, at)
                                         : quick_spots<uint64_t>(w, i, r, base, at))) return;
        }
    }
    each_lane(w, [&](int k) { at[k] = spot(w, i, (Space)i.space, k, address_of(w, i, k), bytes, write); });
}
