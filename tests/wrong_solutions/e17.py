"""Wrong solutions of exercise 17: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "y[i] = c < C",
        "int each = H * W * (C + K), in = i % each, k = in - H * W * C;\n"
        "    y[i] = in < H * W * C ? x[n * H * W * C + in] : k >= 0 ? (label[n] == k % K ? 1.0f : 0.0f) : c < C",
        "values",
        "they belong behind each pixel's channels",
    ),
    ("label[n] == c - C ?", "label[n] == c - C + 1 ?", "values", "the map before the one that the label names"),
    ("label[n] == c - C ? 1.0f", "label[n] == c - C ? (float)label[n]", "values", "it is to hold 1"),
    ("label[n]", "label[pixel]", "fault", "out-of-bounds"),
    ("x[pixel * C + c]", "x[i]", "fault", "reads x[15]"),
]
