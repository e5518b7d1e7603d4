"""Wrong solutions of exercise 27: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "        d[row][0] -= d[row][1];\n        d[row][2] = d[row][1] - d[row][2];\n",
        "",
        "values",
        "transformed down the rows only",
    ),
    (
        "        d[0][column] -= d[1][column];\n        d[2][column] = d[1][column] - d[2][column];\n",
        "",
        "values",
        "transformed along the rows only",
    ),
    ("d[2][column] = d[1][column] - d[2][column]", "d[2][column] -= d[1][column]", "values", "v["),
    ("d[row][0] -= d[row][1];", "d[row][0] += d[row][1] - 2.0f * d[row][1];", "cost", "floating-point operations"),
]
