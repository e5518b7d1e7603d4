// Adam (Kingma & Ba 2015), for all parameters of a network in one launch: they lie in one flat buffer.
//
//   advance    t += 1     factors = { lr * (1 - (t-1) * fall) / (1 - beta1^t),  1 / sqrt(1 - beta2^t) }
//              fall is the part of lr that each step takes away: 1/n leads to 0 over n steps, 0 leaves lr as it is
//   step       m = beta1*m + (1-beta1)*g   v = beta2*v + (1-beta2)*g^2
//              p -= factors[0] * m / (sqrt(v) * factors[1] + eps)
//   state      { t, lr } in device memory, as doubles: a captured graph replays the launch, and only memory can change
//              between replays. 1 - 0.999^t in float32 would start 1.3e-5 off: one thread does it in double, once a
//              step
//   mapping    advance: one thread. step: 1-D grid, one thread per parameter
//   cost       adam_step 28*n bytes, 13*n FLOP (p, m, v read and written, g read): memory bound; adam_advance 32 bytes,
//              12 FLOP
//   aliasing   none
//   lesson     what must change between launches lives in memory, not in arguments

#include "index.cuh"

extern "C" __global__
void adam_advance(double* state, float* factors, double beta1, double beta2, double fall) {
    if (global_thread() != 0) return;
    double t = state[0] + 1.0, lr = state[1] * fmax(1.0 - (t - 1.0) * fall, 0.0);
    state[0] = t;
    factors[0] = (float)(lr / (1.0 - pow(beta1, t)));
    factors[1] = (float)(1.0 / sqrt(1.0 - pow(beta2, t)));
}

extern "C" __global__
void adam_step(float* param, const float* grad, float* m, float* v, const float* factors, int n,
               float beta1, float beta2, float one_minus_beta1, float one_minus_beta2, float eps) {
    int i = global_thread();
    if (i >= n) return;
    float g = grad[i];
    float m_new = beta1 * m[i] + one_minus_beta1 * g;
    float v_new = beta2 * v[i] + one_minus_beta2 * (g * g);
    m[i] = m_new;
    v[i] = v_new;
    param[i] -= factors[0] * m_new / (sqrtf(v_new) * factors[1] + eps);
}
