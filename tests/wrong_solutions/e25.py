"""Wrong solutions of exercise 25: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("__syncthreads();                         // this", "// this", "fault", "writes a_s[0, 0, 1]"),
    (
        "__syncthreads();                         // this step's pieces are there, and the other pair has been read\n"
        "        if (step + 1 < steps) bring(step + 1);",
        "if (step + 1 < steps) bring(step + 1);\n        __syncthreads();",
        "fault",
        "reads a_s[0, 0, 0] in shared memory, and",
    ),
    ("    bring(0);\n", "", "fault", "uninitialised"),
    (
        "step = 0; step < steps;",
        "step = 0; step < steps - 1;",
        "values",
        "the last step's pieces were never multiplied",
    ),
    (
        "b_s[step % 2][k][tx];\n",
        "b_s[step % 2][k][tx];\n        __syncthreads();\n",
        "cost",
        "barriers in all blocks together",
    ),
    ("sum += a_s[step % 2]", "sum += a_s[0]", "fault", "race"),
]
