"""Wrong solutions of exercise 26: (what is replaced, what by, the verdict's kind, part of its sentence)."""

WRONG = [
    ("m[1][oc] - m[2][oc]", "m[1][oc] + m[2][oc]", "values", "y1 is m1 - m2"),
    ("v[3] = {d0 - d1,", "v[3] = {d1 - d0,", "values", "m0 is (d0 - d1) g0"),
    ("if (t + 1 < T) y", "y", "fault", "out-of-bounds"),
    ("t + 1 < T ? x[(t + 2) * IC + ic] : 0.0f", "x[(t + 2) * IC + ic]", "fault", "out-of-bounds"),
    (
        "float v[3] = {d0 - d1, d1, d1 - d2};",
        "for (int oc = 0; oc < OC; oc++) {\n"
        "            float g0 = u[ic * OC + oc], g1 = u[(2 * IC + ic) * OC + oc];\n"
        "            m[1][oc] += d1 * g0 + d2 * g1;\n            m[0][oc] += d0 * g0 + d1 * g1 - (d1 * g0 + d2 * g1);\n"
        "        }\n        float v[3] = {};\n        continue;",
        "cost",
        "floating-point operations",
    ),
]
