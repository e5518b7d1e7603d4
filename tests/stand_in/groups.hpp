// The lanes of a warp in groups: those that stand at one place run together, and part and join as branches, collectives
// and barriers have it.

static void park(Warp& w, int32_t place, uint32_t lanes, State state) {
    for (int g = 0; g < w.group_count; g++)
        if (w.groups[g].place == place && w.groups[g].state == state && (state != READY || !w.block->launch->apart)) {
            w.groups[g].lanes |= lanes;
            return;
        }
    w.groups[w.group_count++] = {place, lanes, state};
}

static Group take(Warp& w, int g) {
    Group taken = w.groups[g];
    w.groups[g] = w.groups[--w.group_count];
    return taken;
}

// Ready again at a place: as one group, or each lane alone.
static void ready(Warp& w, int32_t place, uint32_t lanes) {
    if (!w.block->launch->apart) park(w, place, lanes, READY);
    else for (uint32_t left = lanes; left; left &= left - 1) park(w, place, left & -left, READY);
}

// The group to run next: the lowest place; among lanes apart the first lane, or the last. -1: none is ready.
static int next_group(const Warp& w) {
    int best = -1;
    for (int g = 0; g < w.group_count; g++) {
        const Group& a = w.groups[g];
        if (a.state != READY) continue;
        if (best < 0) best = g;
        const Group& b = w.groups[best];
        if (!w.block->launch->apart ? a.place < b.place
                                    : w.block->launch->reversed ? a.lanes > b.lanes : a.lanes < b.lanes) best = g;
    }
    return best;
}

// Of the lanes that came to a collective those whose mask names no living lane that is not there.
static uint32_t complete(Warp& w, const Instruction& i, uint32_t lanes) {
    uint32_t found = 0;
    for (uint32_t left = lanes; left; left &= left - 1) {
        int k = __builtin_ctz(left);
        uint32_t named = i.mask < 0 ? w.alive : w.slot<uint32_t>(i.r[i.mask])[k];
        if (!(named >> k & 1)) fail(w, k, 0, "takes part with a mask that leaves itself out (%08x)", named);
        if ((named & w.alive & ~lanes) == 0) found |= 1u << k;
    }
    return found;
}

// Runs a collective once for each mask among the lanes.
static void collective(Warp& w, const Instruction& i, uint32_t lanes) {
    while (lanes) {
        int k = __builtin_ctz(lanes);
        uint32_t named = i.mask < 0 ? w.alive : w.slot<uint32_t>(i.r[i.mask])[k], those = lanes & named;
        activate(w, those);
        i.run(w, i);
        lanes &= ~those;
    }
}

// Runs one group until it waits, ends, or another is to run.
static void run_group(Warp& w, Group group) {
    Launch* launch = w.block->launch;
    const Instruction* code = launch->code;
    int32_t place = group.place;
    activate(w, group.lanes);
    for (;;) {
        const Instruction& i = code[place];
        w.place = place;
        if (++w.steps > launch->most_steps) fail(w, __builtin_ctz(w.lanes), 0, "does not come to an end");
        switch (i.kind) {
        case PLAIN: {
            uint32_t lanes = guarded(w, i);
            if (lanes == w.lanes) i.run(w, i);
            else if (lanes) {
                uint32_t before = w.lanes;
                activate(w, lanes);
                i.run(w, i);
                activate(w, before);
            }
            place++;
            break;
        }
        case LABEL: {
            if (w.group_count && !launch->apart) {
                uint32_t lanes = w.lanes;
                bool earlier = false;
                for (int g = 0; g < w.group_count; g++) {
                    if (w.groups[g].state != READY) continue;
                    if (w.groups[g].place == place) lanes |= take(w, g--).lanes;
                    else earlier |= w.groups[g].place < place;
                }
                if (earlier) return park(w, place, lanes, READY);
                if (lanes != w.lanes) activate(w, lanes);
            }
            place++;
            break;
        }
        case BRANCH: {
            uint32_t taken = guarded(w, i), stay = w.lanes & ~taken;
            if (!stay) place = i.target;
            else if (!taken) place++;
            else if (i.target < place) {
                park(w, place + 1, stay, READY);
                activate(w, taken);
                place = i.target;
            } else {
                park(w, i.target, taken, READY);
                activate(w, stay);
                place++;
            }
            break;
        }
        case EXIT: {
            uint32_t gone = guarded(w, i), stay = w.lanes & ~gone;
            w.alive &= ~gone;
            if (!stay) return;
            activate(w, stay);
            place++;
            break;
        }
        case BARRIER:
        case COLLECTIVE: {
            uint32_t here = guarded(w, i), pass = w.lanes & ~here;
            if (!here) {
                place++;
                break;
            }
            if (pass) ready(w, place + 1, pass);
            if (i.kind == BARRIER) return park(w, place, here, AT_BARRIER);
            for (int g = 0; g < w.group_count; g++)
                if (w.groups[g].state == AT_COLLECTIVE && w.groups[g].place == place) here |= take(w, g--).lanes;
            uint32_t act = complete(w, i, here);
            if (act != here) park(w, place, here & ~act, AT_COLLECTIVE);
            if (!act) return;
            collective(w, i, act);
            if (launch->apart) return ready(w, place + 1, act);
            activate(w, act);
            place++;
            break;
        }
        }
    }
}

// Runs a warp until all its lanes wait at one barrier (true) or have ended (false).
static bool run_warp(Warp& w) {
    for (;;) {
        int g = next_group(w);
        if (g >= 0) {
            run_group(w, take(w, g));
            continue;
        }
        if (!w.group_count) return false;
        for (g = 0; g < w.group_count; g++)  // lanes that they waited for may have ended
            if (w.groups[g].state == AT_COLLECTIVE) {
                w.place = w.groups[g].place;
                if (complete(w, w.block->launch->code[w.place], w.groups[g].lanes)) break;
            }
        if (g < w.group_count) {
            Group again = take(w, g);
            run_group(w, {again.place, again.lanes, READY});
            continue;
        }
        const Group& first = w.groups[0];
        w.place = first.place;
        if (w.group_count == 1 && first.state == AT_BARRIER) return true;
        const Group& other = w.groups[w.group_count > 1];
        fail(w, __builtin_ctz(first.lanes), 0, "lanes %08x of a warp wait here, lanes %08x at place %d", first.lanes,
            w.alive & ~first.lanes, other.place);
    }
}
