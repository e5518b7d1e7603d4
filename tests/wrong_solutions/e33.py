"""Wrong solutions of exercise 33: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("bias ? sum[k] + bias[oc] : sum[k]", "sum[k]", "values", "bias is not added"),
    ("bias ? sum[k] + bias[oc] : sum[k]", "sum[k] + bias[oc]", "fault", "null pointer"),
    ("if (4 * g + k < OW) y[", "y[", "fault", "33_own_rung.cu"),
    ("if (col >= 0 && col < W) sum", "if (col >= 0) sum", "fault", "out-of-bounds"),
    (
        "int col = (4 * g + k) * stride_w - pad_w + kw;",
        "int col = (4 * g + k) * stride_w - pad_w + kw, c0 = col - k * stride_w;\n"
        "                    if (c0 < 0 || c0 >= W) continue;",
        "values",
        "ask each of them",
    ),
    ("float tap = w[((kh * KW + kw) * IC + ic) * OC + oc];", "volatile const float* again = w; float tap = 0.0f;\n"
     "                for (int k = 0; k < 4; k++) tap = again[((kh * KW + kw) * IC + ic) * OC + oc];",
     "cost", "requests of warps to global memory"),
]  # fmt: skip
