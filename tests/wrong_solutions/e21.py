"""Wrong solutions of exercise 21: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (" && down % stride_h == 0 && right % stride_w == 0", "", "values", "pixels stand where zeros belong"),
    ("down = zh - pad_h, right = zw - pad_w", "down = zh, right = zw", "values", "the padding is missing"),
    ("down / stride_h < H && ", "", "fault", "out-of-bounds"),
    ("down >= 0 && ", "", "fault", "out-of-bounds"),
    ("int down", "stride_h++, stride_w++;\n    int down", "values", "stride - 1 zeros stand between neighbours"),
    (
        "z[i] = hit ? x[((n * H + down / stride_h) * W + right / stride_w) * C + c] : 0.0f",
        "if (hit) z[i] = x[0]",
        "values",
        "never written",
    ),
]
