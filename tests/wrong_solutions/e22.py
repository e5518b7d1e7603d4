"""Wrong solutions of exercise 22: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("kh = a_h;", "kh = 0;", "values", "dx["),
    (
        "int a_h = (h + pad_h) % stride_h, a_w = (col + pad_w) % stride_w;",
        "int a_h = 0, a_w = 0;",
        "values",
        "it should begin at its phase",
    ),
    ("oh < 0 || ", "", "fault", "out-of-bounds"),
    (
        "a_h = (h + pad_h) % stride_h, a_w = (col + pad_w) % stride_w;",
        "a_h = h % stride_h, a_w = col % stride_w;",
        "values",
        "the remainder of h + pad_h, not of h",
    ),
    (
        "int kh = a_h; kh < KH; kh += stride_h) {",
        "int kh = 0; kh < KH; kh++) {\n        if (kh % stride_h != a_h) continue;",
        "cost",
        "branches of warps",
    ),
]
