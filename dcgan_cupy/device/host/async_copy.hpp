// cuda_pipeline.h on a CPU: copies from global to shared memory that are asked for now and made when their wait comes, so that a
// forgotten wait reads old data here too. Included for texts that name __pipeline_… only.
#pragma once

namespace cuda_on_host {
enum { ASYNC_COPIES = 256 };                         // of one thread, asked for and not yet waited for
struct AsyncCopy { void* to; const void* from; unsigned bytes, zeros, batch; };
struct AsyncQueue { AsyncCopy copies[ASYNC_COPIES]; unsigned count, batch, block; };
static AsyncQueue async_queues[1024];
HOST_INLINE AsyncQueue& async_queue() {
    AsyncQueue& q = async_queues[threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)];
    if (q.block != blocks_placed) { q.count = q.batch = 0; q.block = blocks_placed; }    // what an earlier block never waited for
    return q;
}
}
#ifdef WATCHED
extern "C" void check_promise(void* p, unsigned long long n);
#define ASYNC_PROMISE(p, n) check_promise(p, n)
#else
#define ASYNC_PROMISE(p, n) (void)0
#endif

HOST_INLINE void __pipeline_memcpy_async(void* to, const void* from, size_t bytes, size_t zeros = 0) {
    cuda_on_host::AsyncQueue& q = cuda_on_host::async_queue();
    if (q.count == cuda_on_host::ASYNC_COPIES) { fprintf(stderr, "more than 256 cp.async of one thread in flight\n"); abort(); }
    q.copies[q.count++] = {to, from, (unsigned)bytes, (unsigned)zeros, q.batch};
    ASYNC_PROMISE(to, bytes);
}
HOST_INLINE void __pipeline_commit() { cuda_on_host::async_queue().batch++; }
// Waits until all but the newest `newest` batches have arrived: only now are the copies of the older ones made.
HOST_INLINE void __pipeline_wait_prior(unsigned newest) {
    cuda_on_host::AsyncQueue& q = cuda_on_host::async_queue();
    unsigned kept = 0;
    for (unsigned i = 0; i < q.count; i++) {
        cuda_on_host::AsyncCopy c = q.copies[i];
        if (c.batch + newest >= q.batch) { q.copies[kept++] = c; continue; }
        unsigned from_memory = c.bytes - c.zeros;
        char* to = (char*)c.to;
        if (c.bytes == 16 && c.zeros == 0) *(int4*)to = *(const int4*)c.from;
        else if (c.bytes == 8 && c.zeros == 0) *(int2*)to = *(const int2*)c.from;
        else for (unsigned b = 0; b < c.bytes; b += 4) *(int*)(to + b) = b < from_memory ? *(const int*)((const char*)c.from + b) : 0;
    }
    q.count = kept;
    if (q.count == 0) q.batch = 0;
}
