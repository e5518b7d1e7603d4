// Loads, stores, atomics, and copies that go on by themselves (cp.async).

// r[0..count-1] = memory; T: as it lies there, D: as a register holds it (smaller ones are extended).
template <class D, class T> static void load(Warp& w, const Instruction& i) {
    char* at[LANES];
    spots(w, i, false, at);
    for (int c = 0; c < i.count; c++) {
        D* d = w.slot<D>(i.r[c]);
        if (w.lanes == 0xffffffffu) {
            for (int k = 0; k < LANES; k++) d[k] = (D)((const T*)at[k])[c];
        } else {
            for (uint32_t left = w.lanes; left; left &= left - 1) {
                int k = __builtin_ctz(left);
                d[k] = (D)((const T*)at[k])[c];
            }
        }
    }
}

// memory = r[0..count-1].
template <class D, class T> static void store(Warp& w, const Instruction& i) {
    char* at[LANES];
    spots(w, i, true, at);
    each_lane(w, [&](int k) {
        for (int c = 0; c < i.count; c++) ((T*)at[k])[c] = (T)w.slot<D>(i.r[c])[k];
    });
}

// r[0] = *p, then *p = change(*p, r[1], r[2]), lane after lane.
template <class T, class Change> static void atomic(Warp& w, const Instruction& i, Change change) {
    each_lane(w, [&](int k) {
        T* p = (T*)spot(w, i, (Space)i.space, k, address_of(w, i, k), sizeof(T), true);
        T before = *p;
        *p = change(before, w.slot<T>(i.r[1])[k], i.r[2] == NO_SLOT ? T(0) : w.slot<T>(i.r[2])[k]);
        if (i.r[0] != NO_SLOT) w.slot<T>(i.r[0])[k] = before;
    });
}

// cp.async: size bytes from global to shared memory, of which r[1] are read (or all) and the rest is zeros. Until its
// wait comes the target is undefined: NaN here, whatever lay there, and what the copy reads may change under it.
static void start_copy(Warp& w, const Instruction& i) {
    Block& b = *w.block;
    each_lane(w, [&](int k) {
        uint32_t bytes = i.size, given = i.r[1] == NO_SLOT ? bytes : w.slot<uint32_t>(i.r[1])[k];
        if (given > bytes) fail(w, k, 0, "copies %u bytes into %u", given, bytes);
        char* to = spot(w, i, SHARED, k, address_of(w, i, k), bytes, true);
        uint64_t address = w.slot<uint64_t>(i.r[0])[k] + (uint64_t)(int64_t)i.mask;
        if (address % bytes) fail(w, k, address, "copies %u bytes from an address that is no multiple of %u", bytes, bytes);
        char* from = (char*)address;
        if (given) {
            Regions regions = regions_of(w, false);
            if (!inside(regions, region_at(regions, address), address, given)) fail(w, k, address, "copies %u bytes from outside of every array", given);
        }
        poison(to, bytes);
        if (b.copy_count == b.copy_room) {
            b.copy_room = b.copy_room ? 2 * b.copy_room : 256;
            b.copies = (Copy*)realloc(b.copies, b.copy_room * sizeof(Copy));
        }
        uint32_t thread = w.number * LANES + k;
        b.copies[b.copy_count++] = {to, from, bytes, given, thread, b.open[thread]};
    });
}

static void commit_copies(Warp& w, const Instruction&) {
    each_lane(w, [&](int k) { w.block->open[w.number * LANES + k]++; });
}

// The copies of each thread that runs land, but for its `offset` newest groups. offset -1: all, committed or not.
static void wait_copies(Warp& w, const Instruction& i) {
    Block& b = *w.block;
    uint32_t kept = 0;
    for (uint32_t n = 0; n < b.copy_count; n++) {
        Copy copy = b.copies[n];
        bool mine = copy.thread / LANES == w.number && (w.lanes >> copy.thread % LANES & 1);
        if (mine && (i.offset < 0 || copy.group + i.offset < b.open[copy.thread])) {
            memset(copy.to, 0, copy.bytes);
            memcpy(copy.to, copy.from, copy.given);
        } else {
            b.copies[kept++] = copy;
        }
    }
    b.copy_count = kept;
}
