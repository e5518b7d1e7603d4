"""Wrong solutions of exercise 03: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("i += threads", "i += blockDim.x", "fault", "race"),
    ("i += threads", "i += n", "values", "y[64] is never written with n = 70, nor are 5 others"),
    ("i < n;", "i <= n;", "fault", "out-of-bounds"),
    (
        "int i = first; i < n; i += threads",
        "int each = (n + threads - 1) / threads, i = each * first; i < n && i < each * (first + 1); i++",
        "cost",
        "neighbouring threads should touch neighbouring numbers",
    ),
]
