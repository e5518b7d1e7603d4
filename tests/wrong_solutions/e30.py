"""Wrong solutions of exercise 30: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "(g + i % 2 * 8) * 8 + t + i / 2 * 4",
        "(g + i / 2 * 8) * 8 + t + i % 2 * 4",
        "values",
        "a[1] is eight rows below",
    ),
    ("B[(t + i * 4) * 8 + g]", "B[g * 8 + t + i * 4]", "values", "t counts its rows, g its columns"),
    ("c[i] = C[(g + i / 2 * 8) * 8 + 2 * t + i % 2]", "c[i] = 0.0f", "values", "c is missing"),
    (
        "D[(g + i / 2 * 8) * 8 + 2 * t + i % 2]",
        "D[(g + i % 2 * 8) * 8 + 2 * t + i / 2]",
        "values",
        "d[1] is to the right",
    ),
    (
        "c[i] = C[(g + i / 2 * 8) * 8 + 2 * t + i % 2]",
        "c[i] = C[(g + i % 2 * 8) * 8 + 2 * t + i / 2]",
        "values",
        "c[1] is to the right",
    ),
    ("D[(g + i / 2 * 8) * 8 + 2 * t", "D[(g + i / 2 * 8) * 8 + t", "fault", "race"),
]
