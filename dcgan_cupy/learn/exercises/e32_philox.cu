// 32  A random number is a function of its index.
//
// A generator with a memory hands out one number after the other. Thousands of threads want theirs at once, and the
// same ones in every run and on every device. A counter-based generator has no memory: it scrambles a counter with a
// key, and thread i takes counter offset + i. Philox4x32-10 makes of four words c[0..3] and a key k[0..1] four random
// words, in ten rounds. In a round, with * the whole product of 64 bits:
//
//   a = 0xD2511F53 * c[0]        b = 0xCD9E8D57 * c[2]        high and low: the upper and the lower 32 bits
//   c[0], c[1], c[2], c[3]  <-  high(b) ^ c[1] ^ k[0],  low(b),  high(a) ^ c[3] ^ k[1],  low(a)
//
// and between rounds, so nine times, k[0] += 0x9E3779B9 and k[1] += 0xBB67AE85, without what goes beyond 32 bits.
//
//   counter c = { low(offset + i), high(offset + i), 0, 0 }, key k = { low(seed), high(seed) }; words 4 i .. 4 i + 3 of
//   out are thread i's c[0..3] after the last round        out: n words, n any number; a thread for each four
//
// __umulhi(x, y) is the upper half of a product of two unsigned ints; x * y is the lower.

extern "C" __global__
void random_words(unsigned* out, unsigned long long seed, unsigned long long offset, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * i >= n) return;
    unsigned long long counter = offset + i;
    unsigned c[4] = {(unsigned)counter, (unsigned)(counter >> 32), 0, 0};
    unsigned k[2] = {(unsigned)seed, (unsigned)(seed >> 32)};
    // >>> solution
    for (int round = 0; round < 10; round++) {
        unsigned high_a = __umulhi(0xD2511F53u, c[0]), low_a = 0xD2511F53u * c[0];
        unsigned high_b = __umulhi(0xCD9E8D57u, c[2]), low_b = 0xCD9E8D57u * c[2];
        c[0] = high_b ^ c[1] ^ k[0];
        c[1] = low_b;
        c[2] = high_a ^ c[3] ^ k[1];
        c[3] = low_a;
        k[0] += 0x9E3779B9u;                                         // for the next round
        k[1] += 0xBB67AE85u;
    }
    // === task
    // TODO: ten rounds
    // <<<
    for (int word = 0; word < 4; word++)
        if (4 * i + word < n) out[4 * i + word] = c[word];
}
