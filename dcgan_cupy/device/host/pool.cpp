// The worker threads of the CPU device: started once, alive as long as the process, fed one launch at a time.
//
// The calling thread is worker 0 and does its share. A launch's blocks are handed out in chunks from one counter, so a
// slow block delays one worker only. Which worker runs a block never changes its result: blocks share nothing but what
// a kernel does with atomics.
//
// Workers flush denormals to zero, as CuPy's kernels do on a GPU (-ftz=true).
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "denormals.h"
#include "launch.h"

enum { MAX_WORKERS = 256, SPINS = 4000 };          // a spin is some 40 ns: about the time Python takes between two launches

static int workers = 0;
static char* stacks[MAX_WORKERS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static unsigned long generation = 0;               // one more for each launch handed to the pool
static int busy = 0;                               // workers still at it

static RunBlocks* job_run;                         // one function a worker: each has its own image
static Launch* job_launch;
static unsigned long long job_blocks, job_chunk, job_next;

static void take_chunks(int worker) {
    for (;;) {
        unsigned long long first = __atomic_fetch_add(&job_next, job_chunk, __ATOMIC_RELAXED);
        if (first >= job_blocks || job_launch->failed) return;
        unsigned long long last = first + job_chunk < job_blocks ? first + job_chunk : job_blocks;
        job_run[worker](job_launch, first, last, stacks[worker]);
    }
}

static void* work(void* number) {
    int worker = (int)(long)number;
    unsigned long seen = 0;
    flush_denormals();
    for (;;) {
        for (int spin = 0; spin < SPINS && __atomic_load_n(&generation, __ATOMIC_ACQUIRE) == seen; spin++) relax();
        if (__atomic_load_n(&generation, __ATOMIC_ACQUIRE) == seen) {
            pthread_mutex_lock(&mutex);
            while (generation == seen) pthread_cond_wait(&wake, &mutex);
            pthread_mutex_unlock(&mutex);
        }
        seen++;
        take_chunks(worker);
        __atomic_fetch_sub(&busy, 1, __ATOMIC_RELEASE);
    }
    return nullptr;
}

static char* map_stacks() {                        // 1024 stacks, touched (and so paid for) only as far as kernels use them
    size_t bytes = LAUNCH_STACK_ROOM + (size_t)1024 * LAUNCH_STACK_STRIDE;
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : (char*)p + LAUNCH_STACK_ROOM;
}

#define EXPORT extern "C" __attribute__((visibility("default")))

// Starts `count` workers, the caller included. Returns how many there are, or -1.
EXPORT int pool_start(int count) {
    if (count < 1 || count > MAX_WORKERS) return -1;
    for (int i = 0; i < count; i++) if (!(stacks[i] = map_stacks())) return -1;
    workers = 1;
    for (int i = 1; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, work, (void*)(long)i) != 0) break;
        pthread_detach(thread);
        workers++;
    }
    return workers;
}

// Runs a launch to its end. run[w] belongs to worker w. Returns 0, or 1 with launch->message filled.
EXPORT int pool_run(RunBlocks* run, Launch* launch) {
    unsigned long long blocks = (unsigned long long)launch->grid[0] * launch->grid[1] * launch->grid[2];
    unsigned long long old = flush_denormals();
    launch->failed = 0;
    launch->message[0] = 0;
    if (workers == 1 || blocks == 1) {
        run[0](launch, 0, blocks, stacks[0]);
    } else {
        job_run = run;
        job_launch = launch;
        job_blocks = blocks;
        job_chunk = blocks / (8ull * workers) ? blocks / (8ull * workers) : 1;
        job_next = 0;
        __atomic_store_n(&busy, workers - 1, __ATOMIC_RELAXED);
        pthread_mutex_lock(&mutex);
        __atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&mutex);
        take_chunks(0);
        while (__atomic_load_n(&busy, __ATOMIC_ACQUIRE) != 0) relax();
    }
    restore_denormals(old);
    return launch->failed;
}

// Runs launches one after the other. Returns 0, or the number (from 1) of the first that failed; those behind it have not run.
EXPORT int pool_run_all(RunBlocks** runs, Launch** launches, int count) {
    for (int i = 0; i < count; i++)
        if (pool_run(runs[i], launches[i])) return i + 1;
    return 0;
}
