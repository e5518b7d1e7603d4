// 13  A loss that survives large logits.
//
// A discriminator gives a logit x; p = 1 / (1 + exp(-x)) is its probability that the picture is real, and t says
// whether it is (1) or not (0). Binary cross-entropy and its gradient by x:
//
//   loss = -(t * log(p) + (1 - t) * log(1 - p))        dx = p - t
//
// Taken literally, it breaks. At x = 20, p rounds to 1 and log(1 - p) is minus infinity; at x = -100, exp(-x) is more
// than a float holds. But -log(p) = log(1 + exp(-x)), and a term can be taken out of that logarithm so that the
// exponent is never positive:
//
//   log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))
//
// So e = exp(-|x|) lies in (0, 1], and both loss and p can be made of e. For a small e, log(1 + e) loses it in the sum;
// log1pf(e) does not.
//
//   loss[i], dx[i] from logits[i], target[i]        n floats each

extern "C" __global__
void bce_with_logits(const float* logits, const float* target, float* loss, float* dx, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = logits[i], t = target[i];
    // >>> solution
    float e = expf(-fabsf(x));                                       // (0, 1]: never overflows
    float p = x >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
    loss[i] = (x > 0.0f ? x : 0.0f) - x * t + log1pf(e);             // -t log p - (1 - t) log(1 - p)
    dx[i] = p - t;
    // === task
    float p = 1.0f / (1.0f + expf(-x));
    loss[i] = -(t * logf(p) + (1.0f - t) * logf(1.0f - p));          // TODO: without a way to overflow
    dx[i] = p - t;
    // <<<
}
