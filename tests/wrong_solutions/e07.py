"""Wrong solutions of exercise 07: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("tile[32][33]", "tile[32][34]", "cost", "a request takes 2 turns, need 1"),
    ("tile[32][33]", "tile[33][32]", "cost", "turns, need 1"),
    ("tile[32][33]", "tile[32][31]", "fault", "race"),
]
RIGHT = [  # each lane begins at another column
    [("tile[32][33]", "tile[32][32]"), ("tile[lane][k]", "tile[lane][(k + lane) % 32]")]
]
