"""Wrong solutions of exercise 20: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("up % stride_h != 0 || ", "", "values", "is no multiple of the stride"),
    ("w + ((kh * KW + kw)", "w + (((KH - 1 - kh) * KW + KW - 1 - kw)", "values", "here the kernel is turned"),
    ("up < 0 || ", "", "fault", "out-of-bounds"),
    (" || up / stride_h >= OH", "", "fault", "out-of-bounds"),
    ("h + pad_h - kh", "h - pad_h - kh", "values", "dx["),
    ("left % stride_w != 0 || left / stride_w >= OW", "left / stride_w >= OW", "values", "dx["),
]
