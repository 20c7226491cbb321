// templates/support/solver.cu for the simulated GPU; instrumented, hence apart from its test.
#define GPTQC_SIM_ARCH 900
#include "tests/sim/host/cuda_host.h"

#include <cmath>

static inline float __fdiv_rn(float a, float b) { return a / b; }
#define __log2f log2f // a name that the C library has taken

#include "support/solver.cu"
