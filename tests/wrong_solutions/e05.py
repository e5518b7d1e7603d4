"""Wrong solutions of exercise 05: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("i + 4 <= n", "i < n", "fault", "out-of-bounds"),
    ("int j = i; j < n", "int j = i; j < 0", "values", "the last n % 4 elements are left as they were"),
    ("i = 4 * (blockIdx.x * blockDim.x + threadIdx.x)", "i = blockIdx.x * blockDim.x + threadIdx.x", "fault", "race"),
    ("if (i + 4 <= n) {", "if (n < 0) {", "fault", "race"),
    ("x + i)", "x + i + 1)", "fault", "reads x[1], the last bytes of it past its end"),
    (
        "    if (i + 4 <= n) {",
        "    for (int j = i; j < n && j < i + 4; j++) y[j] += a * x[j];\n    if (true) return;\n    if (i + 4 <= n) {",
        "cost",
        "requests of warps to global memory",
    ),
]
RIGHT = [  # a quarter of the index, and arrays of float4
    [
        ("if (i + 4 <= n) {", "if (i / 4 < n / 4) {"),
        ("*reinterpret_cast<const float4*>(x + i)", "((const float4*)x)[i / 4]"),
        ("*reinterpret_cast<float4*>(y + i)", "((float4*)y)[i / 4]"),
    ]
]
