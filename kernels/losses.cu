// Binary cross-entropy, of probabilities and of logits, with its gradient and the mean probability, in one launch.
//
//   bce              loss = -mean(t * log p + (1 - t) * log(1 - p))       dp = (p - t) / (p * (1 - p)) / n
//                    each log is held at -100 or more, and p * (1 - p) at 1e-12 or more: p = 0 and p = 1 stay finite
//   bce_with_logits  p = sigmoid(x): loss = mean(max(x, 0) - x * t + log(1 + exp(-|x|)))    dx = (p - t) / n
//                    the same loss, with no way to overflow and a gradient that does not vanish when p rounds to 0 or 1
//   result           result[0] = scale * loss, result[1] = mean of p; the gradient carries scale too (-1 turns descent
//                    to ascent)
//   mapping          one block of 256 threads strides over n values
//   cost             bce 12*n bytes, 23*n FLOP; bce_with_logits 12*n bytes, 21*n FLOP; and one block's latency: n is a
//                    batch, a few hundred values
//   aliasing         gradient may be prob (or logits)
//   lesson           a reduction inside one block: partial sums in registers, then a tree in shared memory. Ten million
//                    losses added one by one would lose two digits: LongSum keeps what each addition rounds off

#include "reduce.cuh"

#ifndef THREADS
#define THREADS 256      // of the one block, a power of two
#endif

__device__ __forceinline__ void write_result(float loss, float p_sum, float* result, int n, float scale) {
    loss = sum_over_block<THREADS>(loss);
    p_sum = sum_over_block<THREADS>(p_sum);
    if (threadIdx.x == 0) {
        result[0] = scale * (loss / n);
        result[1] = p_sum / n;
    }
}

extern "C" __global__ __launch_bounds__(THREADS)
void bce(const float* prob, const float* target, float* gradient, float* result, int n, float scale) {
    LongSum loss, p_sum;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float p = prob[i], t = target[i];
        float log_p = logf(p), log_q = log1pf(-p);
        log_p = log_p < -100.0f ? -100.0f : log_p;           // not fmaxf: that would turn the NaN of a bad p into -100
        log_q = log_q < -100.0f ? -100.0f : log_q;
        loss.add(-(t * log_p + (1.0f - t) * log_q));
        p_sum.add(p);
        float pq = (1.0f - p) * p;
        gradient[i] = scale * ((p - t) / (pq < 1e-12f ? 1e-12f : pq)) / n;
    }
    write_result(loss.sum, p_sum.sum, result, n, scale);
}

extern "C" __global__ __launch_bounds__(THREADS)
void bce_with_logits(const float* logits, const float* target, float* gradient, float* result, int n, float scale) {
    LongSum loss, p_sum;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float x = logits[i], t = target[i];
        float e = expf(-fabsf(x));                           // (0, 1]: never overflows
        float p = x >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
        loss.add((x > 0.0f ? x : 0.0f) - x * t + log1pf(e));
        p_sum.add(p);
        gradient[i] = scale * (p - t) / n;
    }
    write_result(loss.sum, p_sum.sum, result, n, scale);
}
