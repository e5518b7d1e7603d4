"""Wrong solutions of exercise 06: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("__syncthreads();", "", "fault", "race"),
    ("tile[threadIdx.x][threadIdx.y]", "tile[threadIdx.y][threadIdx.x]", "values", "not turned"),
    (
        "to_r = blockIdx.x * 32 + threadIdx.y, to_c = blockIdx.y * 32",
        "to_r = blockIdx.y * 32 + threadIdx.y, to_c = blockIdx.x * 32",
        "values",
        "turned but in its old place",
    ),
    ("if (to_r < C && to_c < R) ", "", "fault", "uninitialised"),
    (
        "tile[threadIdx.y][threadIdx.x] = x[r * C + c];\n    __syncthreads();",
        "y[c * R + r] = x[r * C + c];\n    if (true) return;",
        "cost",
        "times the ideal sectors",
    ),
]
