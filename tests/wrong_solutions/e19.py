"""Wrong solutions of exercise 19: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("db[c] += sum", "db[c] = sum", "values", "db += sum, not db = sum"),
    (
        "for (int k = 1; k < ROW_THREADS; k++) sum += part[k][threadIdx.x];",
        "",
        "values",
        "threads with threadIdx.y == 0",
    ),
    ("    __syncthreads();", "    //", "fault", "race"),
    ("if (c < C) for", "for", "fault", "out-of-bounds"),
    (
        "part[threadIdx.y][threadIdx.x] = sum;\n    __syncthreads();",
        "part[threadIdx.y][threadIdx.x] = 0.0f;\n    if (c < C) atomicAdd(&db[c], sum);\n    sum = 0.0f;\n"
        "    if (true) return;",
        "cost",
        "for atomics in global memory, need none",
    ),
]
