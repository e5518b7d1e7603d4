// 31  A step of Adam.
//
// Each parameter p keeps two averages of its gradient g: m of g itself, and v of its square. A step takes p against m,
// by about lr, whatever the gradient's size:
//
//   m <- beta1 * m + (1 - beta1) * g
//   v <- beta2 * v + (1 - beta2) * g^2
//   p <- p - factors[0] * m / (sqrt(v) * factors[1] + eps)        with the new m and v
//
// m and v begin at 0 and are too small at first; factors = { lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t) } in step t
// makes up for it. They lie in memory and are no arguments: a recorded launch is replayed with the arguments it had,
// and what changes from step to step can only be what memory holds.
//
//   p, m, v, g: n floats each; p, m and v are changed in place        a thread for each parameter
//
// A float in memory is far away: read each once, and keep what you have computed in a register.

extern "C" __global__
void adam_step(float* p, const float* g, float* m, float* v, const float* factors, float beta1, float beta2, float eps,
               int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    // >>> solution
    float gradient = g[i];
    float m_new = beta1 * m[i] + (1.0f - beta1) * gradient;
    float v_new = beta2 * v[i] + (1.0f - beta2) * (gradient * gradient);
    m[i] = m_new;
    v[i] = v_new;
    p[i] -= factors[0] * m_new / (sqrtf(v_new) * factors[1] + eps);
    // === task
    // TODO: m, v, then p
    // <<<
}
