"""Wrong solutions of exercise 02: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("i >= n", "i > n", "fault", "reads x[1]"),
    ("i >= n", "i >= n - 1", "values", "y[0] is never written with a = 3, n = 1"),
    ("a * x[i]", "x[i]", "values", "y[0] is"),
]
