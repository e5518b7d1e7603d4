// 26  Three products for four.
//
// A filter with two taps g0, g1 makes two neighbouring outputs of three inputs d0, d1, d2:
//
//   y0 = d0 g0 + d1 g1        y1 = d1 g0 + d2 g1        four products
//
// The same with three (Winograd):
//
//   m0 = (d0 - d1) g0    m1 = d1 (g0 + g1)    m2 = (d1 - d2) g1        y0 = m0 + m1    y1 = m1 - m2
//
// The additions must not cost what the products save. So g0 + g1 is made once for all: u holds g0, g0 + g1 and g1. The
// inputs' differences serve all output channels. And m0, m1, m2 are summed over the input channels before the last
// step.
//
//   y[t, oc] = sum over ic of x[t, ic] * g0[ic, oc] + x[t + 1, ic] * g1[ic, oc]
//
//   x: [T + 1, IC], u: [3, IC, OC], y: [T, OC]; a thread for two neighbouring t and all OC channels; T may be odd

#define OC 8

extern "C" __global__
void winograd(const float* x, const float* u, float* y, int T, int IC) {
    int t = 2 * (blockIdx.x * blockDim.x + threadIdx.x);             // this thread's outputs: t and t + 1
    if (t >= T) return;
    // >>> solution
    float m[3][OC] = {};
    for (int ic = 0; ic < IC; ic++) {
        float d0 = x[t * IC + ic], d1 = x[(t + 1) * IC + ic], d2 = t + 1 < T ? x[(t + 2) * IC + ic] : 0.0f;
        float v[3] = {d0 - d1, d1, d1 - d2};
#pragma unroll
        for (int p = 0; p < 3; p++)
#pragma unroll
            for (int oc = 0; oc < OC; oc++) m[p][oc] += v[p] * u[(p * IC + ic) * OC + oc];
    }
#pragma unroll
    for (int oc = 0; oc < OC; oc++) {
        y[t * OC + oc] = m[0][oc] + m[1][oc];
        if (t + 1 < T) y[(t + 1) * OC + oc] = m[1][oc] - m[2][oc];
    }
    // === task
    float y0[OC] = {}, y1[OC] = {};
    for (int ic = 0; ic < IC; ic++) {
        float d0 = x[t * IC + ic], d1 = x[(t + 1) * IC + ic], d2 = t + 1 < T ? x[(t + 2) * IC + ic] : 0.0f;
        for (int oc = 0; oc < OC; oc++) {
            float g0 = u[ic * OC + oc], g1 = u[(2 * IC + ic) * OC + oc];
            y0[oc] += d0 * g0 + d1 * g1;                             // TODO: three sums of products, not four
            y1[oc] += d1 * g0 + d2 * g1;
        }
    }
    for (int oc = 0; oc < OC; oc++) {
        y[t * OC + oc] = y0[oc];
        if (t + 1 < T) y[(t + 1) * OC + oc] = y1[oc];
    }
    // <<<
}
