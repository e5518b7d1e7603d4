"""32: Philox4x32-10."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise


def reference(out, seed, offset, rounds=10):
    low = 0xFFFFFFFF
    counter = np.arange(-(-out[0] // 4), dtype=np.uint64) + np.uint64(offset)
    c = [counter & low, counter >> 32, 0 * counter, 0 * counter]
    k = [seed & low, seed >> 32]
    for _ in range(rounds):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]  # 64 bits
        c = [(b >> 32) ^ c[1] ^ k[0], b & low, (a >> 32) ^ c[3] ^ k[1], a & low]
        k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
    return {"out": np.stack(c, axis=1).reshape(-1)[: out[0]]}


def cases(rng):
    def case(n, seed, offset):
        scalars = {"seed": np.uint64(seed), "offset": np.uint64(offset), "n": np.int32(n)}
        return Case({"out": Out((n,), np.uint32)} | scalars, -(-n // 128), 32)

    return [case(4, 1, 2), case(131, 7, 5), case(300, (1 << 40) + 3, (1 << 32) - 9)]


def key_first(out, seed, offset):
    low = 0xFFFFFFFF
    upper, lower = ((seed >> 32) + 0xBB67AE85) & low, ((seed & low) + 0x9E3779B9) & low
    return reference(out, upper << 32 | lower, offset)


def rounds(number):
    def wrong(out, seed, offset):
        return reference(out, seed, offset, number)

    return wrong


def other_round(mix):
    """Ten rounds of mix(c, k), which gives the new c."""

    def wrong(out, seed, offset):
        low = 0xFFFFFFFF
        counter = np.arange(-(-out[0] // 4), dtype=np.uint64) + np.uint64(offset)
        c, k = [counter & low, counter >> 32, 0 * counter, 0 * counter], [seed & low, seed >> 32]
        for _ in range(10):
            c = mix(c, k)
            k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
        return {"out": np.stack(c, axis=1).reshape(-1)[: out[0]]}

    return wrong


def upper_halves_exchanged(c, k):
    a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
    return [(a >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (b >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]


def word_by_word(c, k):
    b = 0xCD9E8D57 * c[2]
    first = (b >> 32) ^ c[1] ^ k[0]
    a = 0xD2511F53 * first
    return [first, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]


def short_products(c, k):
    a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
    return [c[1] ^ k[0], b & 0xFFFFFFFF, c[3] ^ k[1], a & 0xFFFFFFFF]


EXERCISE = exercise(
    __file__,
    "a random number is a function of its index",
    "15-whole-step",
    "random_words",
    reference,
    cases,
    mistakes=(
        Mistake("the key is moved on before the first round; it belongs between rounds", key_first),
        Mistake("these are the words after nine rounds; there are ten", rounds(9)),
        Mistake("these are the words after eleven rounds; there are ten", rounds(11)),
        Mistake(
            "c[0] takes the upper half of b, c[2] that of a: here they are exchanged",
            other_round(upper_halves_exchanged),
        ),
        Mistake("a is made of the c[0] before the round: here c[0] is changed first", other_round(word_by_word)),
        Mistake(
            "the products have no upper half: a product of two unsigned ints is cut to 32 bits, take __umulhi",
            other_round(short_products),
        ),
        Mistake("this is the counter, not yet scrambled", rounds(0)),
    ),
    hints=(
        "Compute both products, all four halves, before you change c: the new c[0] needs the old c[1] and c[2].",
        "unsigned high_a = __umulhi(0xD2511F53u, c[0]), low_a = 0xD2511F53u * c[0]; the same for b with c[2].",
        "c[0] = high_b ^ c[1] ^ k[0]; c[1] = low_b; c[2] = high_a ^ c[3] ^ k[1]; c[3] = low_a; then the key.",
    ),
)
