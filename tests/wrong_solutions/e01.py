"""Wrong solutions of exercise 01: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("blockIdx.x * blockDim.x + threadIdx.x", "threadIdx.x", "fault", "race"),
    ("blockIdx.x * blockDim.x + threadIdx.x", "blockIdx.x * blockDim.x + threadIdx.x + 1", "fault", "out-of-bounds"),
    ("x[i] + y[i]", "x[i] - y[i]", "values", "z[0] is"),
    ("int i = ", "int j = ", "compile", "undeclared identifier 'i'"),
]
