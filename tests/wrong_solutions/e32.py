"""Wrong solutions of exercise 32: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("round < 10", "round < 9", "values", "after nine rounds"),
    (
        "for (int round = 0",
        "k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;\n    for (int round = 0",
        "values",
        "the key is moved on before the first round",
    ),
    ("round < 10", "round <= 10", "values", "after eleven rounds"),
    (
        "c[0] = high_b ^ c[1] ^ k[0];",
        "c[0] = high_a ^ c[1] ^ k[0];\n        high_a = high_b;",
        "values",
        "c[2] that of a: here they are exchanged",
    ),
    (
        "unsigned high_a = __umulhi(0xD2511F53u, c[0]), low_a = 0xD2511F53u * c[0];\n        unsigned high_b = "
        "__umulhi(0xCD9E8D57u, c[2]), low_b = 0xCD9E8D57u * c[2];\n        c[0] = high_b ^ c[1] ^ k[0];",
        "unsigned high_b = __umulhi(0xCD9E8D57u, c[2]), low_b = 0xCD9E8D57u * c[2];\n        c[0] = high_b ^ c[1] ^ "
        "k[0];\n        unsigned high_a = __umulhi(0xD2511F53u, c[0]), low_a = 0xD2511F53u * c[0];",
        "values",
        "here c[0] is changed first",
    ),
    (
        "unsigned high_a =",
        "auto __umulhi = [](unsigned x, unsigned y) { return x * y >> 16 >> 16; };\n        unsigned high_a =",
        "values",
        "take __umulhi",
    ),
    ("c[1] = low_b", "c[1] = low_a", "values", "out[0] is"),
    ("if (4 * i + word < n) ", "", "fault", "out-of-bounds"),
]
