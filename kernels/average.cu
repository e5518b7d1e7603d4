// average: the moving average of a network's weights (Polyak & Juditsky 1992), a smoother G than the last step's.
//
//   formula    average[i] += rate * (param[i] - average[i])     rate = 1 - decay; 1 / rate steps are remembered
//   mapping    1-D grid, one thread per parameter
//   cost       average_step 12*n bytes, 3*n FLOP (average read and written, param read): memory bound
//   aliasing   none
//   lesson     the difference is added, not two products: an average that has arrived stays to the last bit

#include "index.cuh"

extern "C" __global__
void average_step(float* average, const float* param, float rate, int n) {
    int i = global_thread();
    if (i < n) average[i] += rate * (param[i] - average[i]);
}
