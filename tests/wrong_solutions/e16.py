"""Wrong solutions of exercise 16: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (" - sum_dy / rows - xhat * (sum_dy_xhat / rows)", "", "values", "two terms are missing"),
    (" - sum_dy / rows", "", "values", "the term of the mean"),
    (" - xhat * (sum_dy_xhat / rows)", "", "values", "the term of the variance"),
    ("gamma[c] * rstd * (", "rstd * (", "values", "gamma is missing"),
    ("sum_dy / rows - xhat * (sum_dy_xhat / rows)", "sum_dy - xhat * sum_dy_xhat", "values", "divide by rows"),
    ("sum_dy_xhat += g * ((x[r * C + c] - m) * rstd);", "sum_dy_xhat += g * (x[r * C + c] - m);", "values", "its rstd"),
    ("dbeta[c] = sum_dy;", "dgamma[c] = sum_dy;", "values", "dbeta[0] is never written"),
]
