"""Wrong solutions of exercise 23: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("__syncthreads();                                             // the", "// the", "fault", "writes a_s[0, 1]"),
    ("__syncthreads();                                             // and", "// and", "fault", "reads a_s[0, 0]"),
    ("m < M && k0 + tx < K ?", "true ?", "fault", "out-of-bounds"),
    ("int k0 = 0; k0 < K", "int k0 = 0; k0 < 16", "values", "only the first 16 of k"),
    ("    __shared__ float a_s", "    if (m >= M || n >= N) return;\n    __shared__ float a_s", "fault", "barrier"),
    (
        "sum += a_s[ty][k] * b_s[k][tx];",
        "sum += m < M && n < N && k0 + k < K ? a[m * K + k0 + k] * b[(k0 + k) * N + n] : 0;",
        "cost",
        "keep what several threads need in shared memory",
    ),
]
