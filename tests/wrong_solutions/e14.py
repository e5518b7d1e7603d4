"""Wrong solutions of exercise 14: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("(1.0f - y[i] * y[i])", "(1.0f - tanhf(y[i]) * tanhf(y[i]))", "values", "no second tanh"),
    ("dy[i] * (", "(", "values", "by the chain rule it is multiplied by dy"),
    ("(1.0f - y[i] * y[i])", "y[i] * (1.0f - y[i])", "values", "the derivative of the sigmoid"),
    ("(1.0f - y[i] * y[i])", "(1.0f - tanhf(atanhf(y[i])) * y[i])", "cost", "floating-point operations"),
]
