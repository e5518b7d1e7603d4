// The value that a channel's sums are counted from.
#pragma once

// Near the mean, seen from the deviation, so that sum(d^2) - sum(d)^2 / n loses no digits: the middle one of three
// values of the channel, for an outlier among them is not it. At n/7 of the rows, not at n/4 or n/2: those are corners
// of images, which convolutions treat in their own way.
__device__ __forceinline__ float origin(const float* x, int rows, int C, int c) {
    float a = x[rows / 7 * C + c], b = x[rows / 7 * 3 * C + c], d = x[rows / 7 * 5 * C + c];
    return fmaxf(fminf(a, b), fminf(fmaxf(a, b), d));                // passes over a NaN: the sums will not
}
