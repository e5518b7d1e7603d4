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
    (
        "if (oh < 0 || oh >= OH) continue;\n        for (int kw = a_w; kw < KW; kw += stride_w) {",
        "if ((h + pad_h - kh) % stride_h != 0 || oh < 0 || oh >= OH) continue;\n        "
        "for (int kw = a_w; kw < KW; kw += stride_w) {\n            if ((col + pad_w - kw) % stride_w != 0) continue;",
        "cost",
        "a remainder still asked",
    ),
    (
        "a_h = (h + pad_h) % stride_h, a_w = (col + pad_w) % stride_w;",
        "a_h = h % stride_h, a_w = col % stride_w, off = (h + pad_h - a_h) % stride_h || (col + pad_w - a_w) % 2;"
        "\n    if (off) { dx[i] = 0.0f; return; }",
        "values",
        "the remainder of h + pad_h, not of h",
    ),
]
