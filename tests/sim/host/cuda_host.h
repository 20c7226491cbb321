// The CUDA language on a host compiler, for emitted kernels only: qualifiers, built-in variables
// and the few built-in functions that the device headers use. Included ahead of every simulated
// source.
#ifndef GPTQC_TESTS_SIM_HOST_CUDA_HOST_H
#define GPTQC_TESTS_SIM_HOST_CUDA_HOST_H

#include <bit>

#include "tests/sim/Device.h"

#define __CUDA_ARCH__ GPTQC_SIM_ARCH
#define __global__ __attribute__((visibility("default")))
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __cluster_dims__(...)
#define __align__(n) alignas(n)

#define threadIdx (gptqc::sim::threadIndex())
#define blockIdx (gptqc::sim::currentBlock().index)
#define blockDim (gptqc::sim::currentBlock().threads)
#define gridDim (gptqc::sim::currentBlock().grid)

static inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
static inline float __uint_as_float(unsigned value) { return std::bit_cast<float>(value); }

#endif // GPTQC_TESTS_SIM_HOST_CUDA_HOST_H
