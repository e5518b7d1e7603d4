"""Wrong solutions of exercise 11: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("t > 0 ? s[t - 1] : 0", "s[t]", "values", "this is the inclusive sum"),
    (
        "int left = t >= d ? s[t - d] : 0;\n        __syncthreads();",
        "int left = t >= d ? s[t - d] : 0;\n",
        "fault",
        "race",
    ),
    ("t >= d ? s[t - d]", "t >= d - 1 ? s[t - d]", "fault", "out-of-bounds"),
    ("int d = 1;", "int d = 2;", "values", "y[2] is"),
    ("t > 0 ? s[t - 1] : 0", "s[t - 1]", "fault", "out-of-bounds"),
    (
        "for (int d = 1; d < BLOCK; d *= 2) {",
        "if (t == 0) for (int i = 1; i < n; i++) s[i] += s[i - 1];\n    __syncthreads();\n"
        "    for (int d = BLOCK; d < BLOCK; d++) {",
        "cost",
        "requests of warps to shared memory",
    ),
]
