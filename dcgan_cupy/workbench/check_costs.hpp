// What a warp's request costs, and how the lists of its lanes become requests. Part of check.cpp.
#pragma once

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

// Atomics go one after the other where lanes want the same word: the most that one word is wanted.
static u32 cost_atomics(Cost& c, const Group& g) {
    u32 most = 0;
    for (u32 lane = 0; lane < 32; lane++) {
        if (!(g.mask >> lane & 1)) continue;
        u32 turns = 0;
        for (u32 other = 0; other < 32; other++) turns += (g.mask >> other & 1) && g.address[other] == g.address[lane];
        if (turns > most) most = turns;
    }
    c.passes += most;
    c.extra += most - 1;
    return most - 1;
}

static void settle(const Group& g, u32 warp);
// An access that the text may not make at once (its type is aligned less than its size) is several, each a request.
static void settle_pieces(const Group& g, u32 warp) {
    const Site& site = s->sites[g.site];
    Group piece = g;
    for (u32 at = 0; at < site.size; at += site.align) {
        for (u32 lane = 0; lane < 32; lane++) if (g.mask >> lane & 1) piece.address[lane] = g.address[lane] + at;
        settle(piece, warp);
    }
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
    const Site& site = s->sites[g.site];
    u32 size = site.align < site.size ? site.align : site.size, first = __builtin_ctz(g.mask);
    bool shared = g.address[first] - s->shared_low < s->shared_size;
    u64 before = c.sectors - c.ideal;
    c.requests++;
    c.lanes += lanes;
    c.bytes += (u64)lanes * size;
    c.shared += shared;
    u32 worse;
    if (shared) {
        worse = cost_shared(c, g, size);
        if (site.kind == ATOMIC) worse += cost_atomics(c, g);
    }
    else {
        cost_global(c, g, size);
        u64 after = c.sectors - c.ideal;                 // a broadcast may need fewer than its ideal: never below zero
        worse = after > before ? (u32)(after - before) : 0;
        if (site.kind == ATOMIC) worse += cost_atomics(c, g);
    }
    Pattern& p = s->patterns[g.site];
    u32 number = now - base;
    bool wanted = (s->chosen_block == ~0u || s->chosen_block == number) && (s->chosen_warp == ~0u || s->chosen_warp == warp);
    if (wanted && (p.mask == 0 || worse * 64 + lanes > p.cost)) {
        memcpy(p.address, g.address, sizeof p.address);
        p.mask = g.mask; p.block = number; p.warp = warp; p.cost = worse * 64 + lanes;
    }
}

static inline void settle_whole(const Group& g, u32 warp) {
    if (!(g.site & BRANCH) && s->sites[g.site].align < s->sites[g.site].size) settle_pieces(g, warp);
    else settle(g, warp);
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
        if (all || list[i].mask == whole || list[i].age > 0) settle_whole(list[i], warp);
        else { if (kept != i) list[kept] = list[i]; kept++; }
    }
    list.count = kept;
    watch_the_clock(at_end);
}
