"""Wrong solutions of exercise 13: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "(x > 0.0f ? x : 0.0f) - x * t + log1pf(e)",
        "-(t * logf(p) + (1.0f - t) * logf(1.0f - p))",
        "values",
        "the loss by way of p, which is 0 or 1",
    ),
    (
        "(x > 0.0f ? x : 0.0f) - x * t + log1pf(e)",
        "logf(1.0f + expf(x)) - x * t",
        "values",
        "exp(x) overflows above 88",
    ),
    ("log1pf(e)", "logf(1.0f + e)", "values", "rounds a small e away"),
    ("dx[i] = p - t", "dx[i] = (p - t) / (p * (1.0f - p))", "values", "this is the gradient by p"),
    ("e / (1.0f + e)", "1.0f / (1.0f + e)", "values", "dx["),
]
RIGHT = [  # two halves, and p from its own exponential
    [
        ("(x > 0.0f ? x : 0.0f) - x * t + log1pf(e)", "fmaxf(x, 0.0f) * (1.0f - t) + fmaxf(-x, 0.0f) * t + log1pf(e)"),
        ("x >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e)", "1.0f / (1.0f + expf(-x))"),
    ]
]
