// 05  Four floats at once.
//
// A thread can load or store 16 bytes with one instruction, a float4, where the address is a multiple of 16 bytes. The
// bytes are the same, but a warp sends a quarter of the requests.
//
//   y[i] = a * x[i] + y[i]        n floats each, n any number; x and y begin at multiples of 16 bytes
//
// There is a thread for each four elements; the last thread may have fewer. A pointer is made one to float4 by
// reinterpret_cast<const float4*>(x + i); a float4 v has v.x, v.y, v.z and v.w.

extern "C" __global__
void axpy(const float* x, float* y, float a, int n) {
    int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);             // this thread's elements: i .. i + 3
    // >>> solution
    if (i + 4 <= n) {
        float4 u = *reinterpret_cast<const float4*>(x + i), v = *reinterpret_cast<float4*>(y + i);
        v.x += a * u.x;
        v.y += a * u.y;
        v.z += a * u.z;
        v.w += a * u.w;
        *reinterpret_cast<float4*>(y + i) = v;
    } else {
        for (int j = i; j < n; j++) y[j] += a * x[j];                // the last 1 to 3, one by one
    }
    // === task
    for (int j = i; j < n && j < i + 4; j++) y[j] += a * x[j];       // TODO: four at once, where there are four
    // <<<
}
