"""Wrong solutions of exercise 18: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("w[((kh * KW + kw)", "w[(((KH - 1 - kh) * KW + KW - 1 - kw)", "values", "turned by 180 degrees"),
    (" - pad_h + kh;", " + kh;", "values", "y["),
    ("if (h < 0 || h >= H) continue;", "", "fault", "out-of-bounds"),
    ("if (col < 0 || col >= W) continue;", "if (col >= W) continue;", "fault", "x[-"),
    ("* IC + ic) * OC + oc]", "* OC + oc) * IC + ic]", "values", "w[kh, kw, ic, oc], with oc fastest"),
    ("oh * stride_h - pad_h + kh", "oh - pad_h + kh", "values", "y["),
]
