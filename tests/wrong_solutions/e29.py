"""Wrong solutions of exercise 29: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "    __threadfence();                                                 // the part",
        "    // the part",
        "fault",
        "race",
    ),
    ("    count[0] = 0; ", "    //", "values", "the next launch will find the count"),
    ("atomicAdd(count, 1) != (int)gridDim.x - 1", "count[0]++ != (int)gridDim.x - 1", "fault", "count[0]"),
    ("(int)gridDim.x - 1", "(int)gridDim.x", "values", "y[0] is never written"),
    (
        "int b = 0; b < (int)gridDim.x",
        "int b = blockIdx.x; b < (int)gridDim.x",
        "values",
        "this is the last block's own part",
    ),
    ("if (atomicAdd(count, 1) != (int)gridDim.x - 1) return;", "atomicAdd(count, 1);", "fault", "writes part[1]"),
]
RIGHT = [  # the fence before the count is what the order needs here
    [
        ("__threadfence();                                                 // all", "// all"),
        ("+= part[b]", "+= ((volatile float*)part)[b]"),
    ]
]
