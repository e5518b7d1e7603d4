"""Wrong solutions of exercise 10: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("int d = 16", "int d = 8", "values", "the numbers of lanes 16 to 31 are missing"),
    ("if (lane == 0) y[r]", "y[r]", "fault", "race"),
    ("0xffffffffu", "0x0000ffffu", "fault", "leaves out its own lane 16"),
    (
        "for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);",
        "",
        "values",
        "before any shuffle",
    ),
    (
        "for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);",
        "__shared__ float part[128]; part[threadIdx.x] = sum; __syncwarp();\n"
        "    if (lane == 0) for (int d = 1; d < 32; d++) sum += part[threadIdx.x + d];",
        "cost",
        "requests of warps to shared memory",
    ),
]
RIGHT = [  # every lane gets the sum
    [("int d = 16; d > 0; d /= 2", "int d = 1; d < 32; d *= 2"), ("__shfl_down_sync", "__shfl_xor_sync")]
]
