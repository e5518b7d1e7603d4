"""Wrong solutions of exercise 09: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("half = BLOCK / 2;", "half = BLOCK / 4;", "values", "the tree lacks its first level"),
    ("half = BLOCK / 2;", "half = BLOCK;", "fault", "out-of-bounds"),
    ("part[t + half];\n        __syncthreads();", "part[t + half];\n", "fault", "race"),
    ("part[t + half];\n        __syncthreads();", "part[t + half], __syncthreads();\n", "fault", "barrier"),
    ("i < n ? x[i] : 0.0f", "x[i]", "fault", "out-of-bounds"),
    (
        "if (t < half) part[t] += part[t + half];",
        "int step = BLOCK / half, u = step * t; if (t < half) part[u] += part[u + step / 2];",
        "cost",
        "bank conflicts",
    ),
    (
        "half = BLOCK / 2; half > 0; half /= 2) {\n        if (t < half) part[t] += part[t + half];",
        "i = 1; i < BLOCK && t == 0; i++) part[0] += part[i];\n    {",
        "cost",
        "requests of warps to shared memory",
    ),
]
RIGHT = [  # a tree of shuffles in each warp, then eight sums
    [
        ("part[t] = i < n ? x[i] : 0.0f;", "float v = i < n ? x[i] : 0.0f;"),
        (
            "    __syncthreads();                                                 // all",
            "    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);\n"
            "    if (t % 32 == 0) part[t / 32] = v;\n    __syncthreads();  // all",
        ),
        ("half = BLOCK / 2;", "half = BLOCK / 64;"),
    ]
]
