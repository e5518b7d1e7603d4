"""Wrong solutions of exercise 15: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("float m = sum / rows, d1", "float m = 0.0f, d1", "values", "all values lie near 4000"),
    ("d2 / rows -", "d2 / (rows - 1) -", "values", "that is the unbiased estimate"),
    ("d2 / rows - d1 / rows * (d1 / rows)", "sqrtf(d2 / rows)", "values", "this is the standard deviation"),
    ("d2 / rows -", "d2 -", "values", "the average is wanted"),
    ("if (c >= C) return;", "", "fault", "out-of-bounds"),
]
RIGHT = [
    [  # a running mean
        (
            "float m = sum / rows, d1 = 0.0f, d2 = 0.0f;",
            "float m = 0.0f, d1 = 0.0f, d2 = 0.0f;\n    for (int r = 0; r < rows; r++) {\n"
            "        float v = x[r * C + c], d = v - m;\n        m += d / (r + 1);\n        d2 += d * (v - m);\n    }\n"
            "    mean[c] = m;\n    var[c] = d2 / rows;\n    if (true) return;",
        )
    ],
    [("float m = sum / rows,", "float m = x[c],")],  # the first row for the mean
]
