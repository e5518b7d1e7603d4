"""Wrong solutions of exercise 24: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "float a_k[TM], b_k[TN];",
        "for (int i = 0; i < TM * TN; i++)\n"
        "                acc[i / TN][i % TN] += a_s[ty + i / TN * (BM / TM)][k] * b_s[k][tx + i % TN * (BN / TN)];\n"
        "            continue;\n            float a_k[TM], b_k[TN];",
        "cost",
        "requests of warps to shared memory",
    ),
    ("a_k[i] = a_s[ty + i * (BM / TM)]", "a_k[i] = a_s[ty * TM + i]", "values", "not ty * TM + i"),
    ("acc[i][j] += a_k", "acc[i][j] = a_k", "values", "y["),
    ("tx + j * (BN / TN)];\n", "tx + j * BN];\n", "fault", "out-of-bounds"),
    (
        "        for (int k = 0; k < BK; k++) {",
        "        for (int i = 0; i < TM * TN; i++) acc[i / TN][i % TN] = 0.0f;\n        for (int k = 0; k < BK; k++) {",
        "values",
        "acc must keep what the earlier pieces",
    ),
]
