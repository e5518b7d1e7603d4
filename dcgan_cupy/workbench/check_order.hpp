// What comes before what. Part of check.cpp.
//
//   a thread's own accesses, in their order
//   barrier     all that the block did before it comes before all that follows
//   meeting     __syncwarp and collectives: the lanes that take part (a clock for each pair of lanes)
//   fence and   __threadfence(), then an atomic by the same thread: whoever later changes that word atomically has everything
//   atomic      that the first thread had done, or knew of, before its fence (`Past`: of each thread of its block, up to which clock).
//               Tickets, flags and locks are made of this. After __threadfence_block() it holds inside the block only.
#pragma once

static u32 clock_[1024], at_barrier[1024], seen[1024][32];
static u32 fence_of_block[1024], fence_of_device[1024];      // the clock of a thread's last fence; 0: none yet
static bool ever_fenced;                                     // in this launch
static u32* known[1024];                                     // of threads of this block that a thread has learnt of by atomics
static bool any_known;

struct Past { u32 block, device; u32* clocks; };             // device: other blocks may rely on it, too
struct Learnt { Past* past; u32 thread, clock, next; u64 address; };   // a thread of this block knows it from its clock on
struct Word { u64 address; List<Past*> pasts; };
static List<Word> words;                                     // that atomics behind a fence have changed
static List<u32> word_table;
static List<Past*> pasts;                                    // all there are
static List<Learnt> learnt;                                  // by threads of the block that runs
static u32* learnt_of;                                       // a block's number -> 1 + its first entry in `learnt`
static u32 blocks_in_grid;

static inline u64 stamp(u32 thread, u32 site) { return (u64)now << 44 | (u64)thread << 34 | (u64)clock_[thread] << 17 | site; }
static inline u32 stamp_block(u64 v) { return (u32)(v >> 44); }
static inline u32 stamp_thread(u64 v) { return (u32)(v >> 34) & 1023; }
static inline u32 stamp_clock(u64 v) { return (u32)(v >> 17) & MAX_CLOCK; }
static inline u32 stamp_site(u64 v) { return (u32)v & 0xffff; }

static void tick(u32 t) { if (clock_[t] < MAX_CLOCK) clock_[t]++; }

// Up to which clock of thread i thread t may rely on what i did.
static inline u32 knows(u32 t, u32 i) {
    u32 c = at_barrier[i];
    if (i / 32 == t / 32 && seen[t][i % 32] > c) c = seen[t][i % 32];
    if (known[t] && known[t][i] > c) c = known[t][i];
    return c;
}

static __attribute__((noinline)) bool ordered_by_atomics(u64 old, u32 v) {
    u32 first = learnt_of[stamp_block(old) - base];
    for (u32 i = first; i; i = learnt[i - 1].next) {
        const Learnt& l = learnt[i - 1];
        if ((l.thread == v || knows(v, l.thread) >= l.clock) && l.past->clocks[stamp_thread(old)] >= stamp_clock(old)) return true;
    }
    return false;
}

static inline bool ordered(u64 old, u32 v, bool shared) {
    u32 b = stamp_block(old);
    if (b != now) return b < base || shared || (ever_fenced && ordered_by_atomics(old, v));   // a block's shared memory goes with it
    u32 t = stamp_thread(old), c = stamp_clock(old);
    return t == v || c <= at_barrier[t] || (t / 32 == v / 32 && seen[v][t % 32] >= c) || (known[v] && known[v][t] >= c);
}

static Word* word_at(u64 address, bool make) {
    if (word_table.count < 2 * words.count + 64) {
        word_table.fill(4 * words.count + 256, 0);
        for (u32 i = 0; i < words.count; i++) {
            u32 at = (u32)(words[i].address / 4 * 0x9E3779B1u) % word_table.count;
            while (word_table[at]) at = (at + 1) % word_table.count;
            word_table[at] = i + 1;
        }
    }
    u32 at = (u32)(address / 4 * 0x9E3779B1u) % word_table.count;
    for (; word_table[at]; at = (at + 1) % word_table.count)
        if (words[word_table[at] - 1].address == address) return &words[word_table[at] - 1];
    if (!make) return nullptr;
    words.add() = {address, {}};
    word_table[at] = words.count;
    return &words[words.count - 1];
}

// An atomic's own stamp lies behind its fence, yet whoever has changed the word since comes after it, too.
static bool ordered_on_its_word(u64 old, u32 v, u64 address) {
    Word* w = ever_fenced ? word_at(address, false) : nullptr;
    if (!w) return false;
    u32 t = stamp_thread(old), b = stamp_block(old);
    for (Past* p : w->pasts) {
        if (p->block != b || !p->clocks[t]) continue;
        if (b == now) return known[v] && known[v][t] >= p->clocks[t];
        for (u32 i = learnt_of[b - base]; i; i = learnt[i - 1].next)
            if (learnt[i - 1].past == p && (learnt[i - 1].thread == v || knows(v, learnt[i - 1].thread) >= learnt[i - 1].clock)) return true;
    }
    return false;
}

static u32* known_to(u32 t) {
    if (!known[t]) known[t] = (u32*)calloc(1024, sizeof(u32));
    any_known = true;
    return known[t];
}

static void learn(u32 t, Past* p, u64 address) {
    if (p->block == now) {
        u32* mine = known_to(t);
        for (u32 i = 0; i < count; i++) if (p->clocks[i] > mine[i]) mine[i] = p->clocks[i];
        return;
    }
    if (!p->device) return;
    u32& first = learnt_of[p->block - base];
    for (u32 i = first; i; i = learnt[i - 1].next) {
        const Learnt& l = learnt[i - 1];
        if (l.past == p && (l.thread == t || knows(t, l.thread) >= l.clock)) return;
    }
    learnt.add() = {p, t, clock_[t], first, address};
    first = learnt.count;
}

static void pass_on(u32 t, u64 address) {
    Word* w = word_at(address, true);
    for (u32 i = 0; i < learnt.count; i++) {                 // what it has learnt elsewhere goes with it
        const Learnt& l = learnt[i];
        if (l.address == address || !fence_of_device[t] || !(l.thread == t || knows(t, l.thread) >= l.clock)) continue;
        bool there = false;
        for (Past* p : w->pasts) there |= p == l.past;
        if (!there) w->pasts.add() = l.past;
    }
    Past* mine = nullptr;
    for (u32 i = w->pasts.count; i-- > 0 && !mine;) if (w->pasts[i]->block == now) mine = w->pasts[i];
    if (!mine) {
        mine = (Past*)calloc(1, sizeof(Past));
        mine->block = now;
        mine->clocks = (u32*)calloc(count, sizeof(u32));
        pasts.add() = mine;
        w->pasts.add() = mine;
    }
    for (u32 i = 0; i < count; i++) {
        u32 c = i == t ? 0 : knows(t, i);
        if (c > mine->clocks[i]) mine->clocks[i] = c;
    }
    u32 fence = fence_of_device[t] > fence_of_block[t] ? fence_of_device[t] : fence_of_block[t];
    if (fence > mine->clocks[t]) mine->clocks[t] = fence;
    if (fence_of_device[t]) mine->device = 1;
}

static void synchronise_by_atomic(u64 address, u32 t) {
    if (!ever_fenced) return;
    if (Word* w = word_at(address, false))
        for (u32 i = 0; i < w->pasts.count; i++) learn(t, w->pasts[i], address);
    if (fence_of_device[t] || fence_of_block[t]) pass_on(t, address);
}

static void forget_known() {
    if (!any_known) return;
    for (u32 t = 0; t < 1024; t++) free(known[t]), known[t] = nullptr;
    any_known = false;
}

static void order_at_launch(u32 blocks) {
    for (Word& w : words) free(w.pasts.at);
    for (Past* p : pasts) free(p->clocks), free(p);
    words.count = pasts.count = learnt.count = word_table.count = 0;
    if (learnt_of) memset(learnt_of, 0, blocks_in_grid * sizeof(u32));
    ever_fenced = false;
    forget_known();
    if (blocks > blocks_in_grid) {
        free(learnt_of);
        learnt_of = (u32*)calloc(blocks, sizeof(u32));
        blocks_in_grid = blocks;
    }
}

static void order_at_block() {
    for (u32 t = 0; t < count; t++) clock_[t] = 1, at_barrier[t] = fence_of_block[t] = fence_of_device[t] = 0;
    memset(seen, 0, sizeof(seen[0]) * count);
    for (u32 i = 0; i < learnt.count; i++) learnt_of[learnt[i].past->block - base] = 0;
    learnt.count = 0;
    forget_known();
}

static void order_at_barrier() {
    for (u32 t = 0; t < count; t++) { at_barrier[t] = clock_[t]; tick(t); }
    forget_known();
}

static void order_at_meeting(u32 first, u32 mask) {
    u32 joined[32] = {}, *all = nullptr;
    for (u32 lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) continue;
        for (u32 j = 0; j < 32; j++) if (seen[first + lane][j] > joined[j]) joined[j] = seen[first + lane][j];
        if (clock_[first + lane] > joined[lane]) joined[lane] = clock_[first + lane];
        if (u32* k = known[first + lane]) {
            if (!all) all = k;
            else for (u32 i = 0; i < count; i++) if (k[i] > all[i]) all[i] = k[i];
        }
    }
    for (u32 lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) continue;
        memcpy(seen[first + lane], joined, sizeof joined);
        if (all && known[first + lane] != all) memcpy(known_to(first + lane), all, 1024 * sizeof(u32));
        tick(first + lane);
    }
}
