"""Wrong solutions of exercise 08: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "        __syncthreads();                                             // all have read",
        "// ",
        "fault",
        "08_race.cu:22: race",
    ),
    (
        "        __syncthreads();                                             // all have written",
        "// ",
        "fault",
        "08_race.cu:24: race",
    ),
    ("s[t] = sum;\n        __syncthreads();", "s[t] = sum;\n        if (t > 0) __syncthreads();", "fault", "barrier"),
    ("y[t] = s[t]", "__syncthreads();\n    y[t] = s[t]", "cost", "22 barriers in all blocks together, need at most 21"),
    ("float sum = ", "float sum = s[t] + ", "values", "does not take part in it itself"),
]
