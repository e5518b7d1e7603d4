"""Wrong solutions of exercise 04: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("c = i % C, r = i / C", "r = i % rows, c = i / rows", "cost", "times the ideal sectors"),
    ("scale[c]", "scale[r]", "values", "scale belongs to the column c"),
    ("c = i % C, r = i / C", "c = i % rows, r = i / rows", "fault", "out-of-bounds"),
]
