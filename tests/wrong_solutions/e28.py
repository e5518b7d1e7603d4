"""Wrong solutions of exercise 28: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("int n = blockIdx.y; n < N; n += gridDim.y", "int n = 0; n < N; n++", "values", "each part adds all images"),
    (
        "n < N; n += gridDim.y",
        "n < N && n < gridDim.y; n += gridDim.y",
        "values",
        "each part adds its first image only",
    ),
    (
        "int n = blockIdx.y; n < N; n += gridDim.y",
        "int each = (N + gridDim.y - 1) / gridDim.y, n = blockIdx.y * each; n < N && n < (blockIdx.y + 1) * each; n++",
        "values",
        "not neighbours",
    ),
    (
        "int n = blockIdx.y; n < N; n += gridDim.y",
        "int n = blockIdx.y * N / gridDim.y; n < (blockIdx.y + 1) * N / gridDim.y; n++",
        "values",
        "not neighbours",
    ),
    ("part[blockIdx.y * weights + i] = sum", "part[i] = sum", "fault", "race"),
    ("part[blockIdx.y * weights + i] = sum", "part[blockIdx.y * N + i] = sum", "fault", "race"),
]
