// Line 4 lacks a semicolon. Used by test_device.py.

extern "C" __global__
void no_semicolon(int* x) { x[threadIdx.x] = 1 }
