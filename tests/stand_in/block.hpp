// Blocks one after the other, and the barriers of their warps.

// A special register of a thread, by its number in records.py.
static uint32_t special(const Block& b, uint32_t what, uint32_t thread) {
    const uint32_t *n = b.launch->block, *g = b.launch->grid;
    uint32_t lane = thread % LANES;
    switch (what) {
    case 0: return thread % n[0];
    case 1: return thread / n[0] % n[1];
    case 2: return thread / (n[0] * n[1]);
    case 3: case 4: case 5: return n[what - 3];
    case 6: case 7: case 8: return b.index[what - 6];
    case 9: case 10: case 11: return g[what - 9];
    case 12: return lane;
    case 13: return 1u << lane;                       // lanemask_eq, lt, le, gt, ge
    case 14: return (1u << lane) - 1;
    case 15: return (2u << lane) - 1;                 // 2u << 31 is 0: all ones
    case 16: return ~((2u << lane) - 1);
    case 17: return ~((1u << lane) - 1);
    default: return b.launch->dynamic_bytes;
    }
}

// One barrier: all living threads of the block wait at it, and it takes their votes (of __syncthreads_count and its like).
static void pass_barrier(Block& b, Warp* warps, const uint32_t* waits, uint32_t count) {
    Launch* launch = b.launch;
    uint32_t first = 0;
    while (!waits[first]) first++;
    const int32_t place = warps[first].groups[0].place;
    const Instruction& i = launch->code[place];
    b.votes = b.voters = 0;
    for (uint32_t n = 0; n < count; n++) {
        if (!waits[n]) continue;
        Warp& w = warps[n];
        uint32_t lanes = w.groups[0].lanes;
        if (w.groups[0].place != place) {
            w.place = place;
            fail(w, __builtin_ctz(lanes), 0, "waits at place %d, other threads at another barrier", w.groups[0].place);
        }
        b.voters += __builtin_popcount(lanes);
        if (i.count) b.votes += __builtin_popcount(bits_of(w.slot<uint32_t>(i.r[1])) & lanes);
    }
    for (uint32_t n = 0; n < count; n++) {
        if (!waits[n]) continue;
        Warp& w = warps[n];
        Group group = take(w, 0);
        activate(w, group.lanes);
        if (i.count) i.run(w, i);
        ready(w, place + 1, group.lanes);
    }
}

static void start_warp(Warp& w, uint32_t threads) {
    uint32_t first = w.number * LANES, lanes = threads - first < LANES ? threads - first : LANES;
    w.alive = lanes == LANES ? 0xffffffffu : (1u << lanes) - 1;
    w.group_count = 0;
    w.steps = 0;
    ready(w, 0, w.alive);
}

static void run_block(Block& b, Warp* warps, uint32_t count) {
    Launch* launch = b.launch;
    poison(b.shared, launch->shared_bytes);
    poison(b.local, (size_t)launch->local_bytes * count * LANES);
    b.copy_count = 0;
    if (b.open) memset(b.open, 0, sizeof(uint32_t) * count * LANES);
    for (uint32_t n = 0; n < count; n++) {
        for (uint32_t s = 0; s < launch->special_count; s++) {
            uint32_t what = launch->specials[s].what, *to = warps[n].slot<uint32_t>(launch->specials[s].slot);
            if (what >= 6 && what <= 8) for (int k = 0; k < LANES; k++) to[k] = b.index[what - 6];
        }
        start_warp(warps[n], b.threads);
    }
    uint32_t waits[LANES], waiting;
    do {
        waiting = 0;
        for (uint32_t n = 0; n < count; n++) {
            Warp& w = warps[launch->reversed ? count - 1 - n : n];
            waits[w.number] = run_warp(w);
            waiting += waits[w.number];
        }
        if (waiting) pass_barrier(b, warps, waits, count);
    } while (waiting);
}

static void fill_slots(Block& b, Warp& w) {
    Launch* launch = b.launch;
    poison(w.registers, (size_t)launch->slots * SLOT_BYTES);
    for (uint32_t c = 0; c < launch->constant_count; c++) {
        const Constant& constant = launch->constants[c];
        for (int k = 0; k < LANES; k++)
            if (constant.wide) w.slot<uint64_t>(constant.slot)[k] = constant.bits;
            else w.slot<uint32_t>(constant.slot)[k] = (uint32_t)constant.bits;
    }
    for (uint32_t s = 0; s < launch->special_count; s++)
        for (int k = 0; k < LANES; k++)
            w.slot<uint32_t>(launch->specials[s].slot)[k] = special(b, launch->specials[s].what, w.number * LANES + k);
}

#define EXPORT extern "C" __attribute__((visibility("default")))

// Runs a launch. Returns 0, or 1 with launch->fault filled.
EXPORT int run_launch(Launch* launch) {
    Block b = {};
    b.launch = launch;
    const uint32_t *n = launch->block, *g = launch->grid;
    b.threads = n[0] * n[1] * n[2];
    uint32_t count = (b.threads + LANES - 1) / LANES;
    size_t registers = (size_t)launch->slots * SLOT_BYTES;
    char* memory = (char*)aligned_alloc(128, registers * count + SLOT_BYTES);
    Warp* warps = (Warp*)aligned_alloc(128, (sizeof(Warp) * count + 127) / 128 * 128);
    b.shared = (char*)aligned_alloc(128, (launch->shared_bytes + 255) / 128 * 128);
    b.local = (char*)aligned_alloc(128, ((size_t)launch->local_bytes * count * LANES + 255) / 128 * 128);
    b.open = (uint32_t*)calloc(count * LANES, sizeof(uint32_t));
    unsigned long long old = flush_denormals();
    volatile int failed = 0;
    if (setjmp(b.failed)) {
        failed = 1;
    } else {
        for (uint32_t w = 0; w < count; w++) {
            memset((void*)&warps[w], 0, sizeof(Warp));
            warps[w].block = &b;
            warps[w].number = w;
            warps[w].registers = memory + registers * w;
            fill_slots(b, warps[w]);
        }
        uint64_t blocks = (uint64_t)g[0] * g[1] * g[2];
        for (uint64_t at = 0; at < blocks; at++) {
            uint64_t block = launch->reversed ? blocks - 1 - at : at;
            b.index[0] = (uint32_t)(block % g[0]);
            b.index[1] = (uint32_t)(block / g[0] % g[1]);
            b.index[2] = (uint32_t)(block / g[0] / g[1]);
            run_block(b, warps, count);
        }
    }
    restore_denormals(old);
    free(memory), free(warps), free(b.shared), free(b.local), free(b.open), free(b.copies);
    return failed;
}

EXPORT int instruction_bytes() { return sizeof(Instruction); }
EXPORT int launch_bytes() { return sizeof(Launch); }
EXPORT int instruction_count() { return sizeof(TABLE) / sizeof(TABLE[0]); }
EXPORT const char* instruction_name(int n) { return TABLE[n].name; }
EXPORT Handler instruction_handler(int n) { return TABLE[n].run; }
