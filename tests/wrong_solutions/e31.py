"""Wrong solutions of exercise 31: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    (
        "(sqrtf(v_new) * factors[1] + eps)",
        "sqrtf(v_new * factors[1] * factors[1] + eps)",
        "values",
        "eps is added to the root",
    ),
    ("sqrtf(v_new) * factors[1]", "sqrtf(v_new)", "values", "factors[1] is missing"),
    ("(gradient * gradient)", "gradient", "values", "the average of the gradient's square"),
    ("p[i] -=", "p[i] +=", "values", "the step goes uphill"),
    (
        "    m[i] = m_new;\n    v[i] = v_new;\n    p[i] -= factors[0] * m_new / (sqrtf(v_new) * factors[1] + eps);",
        "    p[i] -= factors[0] * m[i] / (sqrtf(v[i]) * factors[1] + eps);\n    m[i] = m_new;\n    v[i] = v_new;",
        "values",
        "not with the new ones",
    ),
    ("    m[i] = m_new;", "", "values", "m[0] is"),
    (
        "p[i] -= factors[0] * m_new / (sqrtf(v_new) * factors[1] + eps);",
        "p[i] -= factors[0] * m[i] / (sqrtf(*(volatile float*)&v[i]) * factors[1] + eps);",
        "cost",
        "requests of warps to global memory",
    ),
]
