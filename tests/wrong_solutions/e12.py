"""Wrong solutions of exercise 12: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("if (threadIdx.x < BINS) part[threadIdx.x] = 0;", "", "fault", "uninitialised"),
    ("__syncthreads();                                                 // zeros", "// ", "fault", "race"),
    ("__syncthreads();                                                 // all", "// ", "fault", "reads part["),
    ("atomicAdd(&part[x[i]], 1)", "part[x[i]]++", "fault", "race"),
    (
        "atomicAdd(&counts[threadIdx.x], part[threadIdx.x])",
        "counts[threadIdx.x] += part[threadIdx.x]",
        "fault",
        "counts[",
    ),
    (
        "atomicAdd(&counts[threadIdx.x], part[threadIdx.x])",
        "counts[threadIdx.x] = part[threadIdx.x]",
        "values",
        "counts is written over",
    ),
    ("atomicAdd(&part[x[i]], 1)", "atomicAdd(&counts[x[i]], 1)", "cost", "for atomics in global memory"),
]
