// templates/support/model.cu for the simulated GPU; instrumented, hence apart from its test.
#define GPTQC_SIM_ARCH 900
#include "tests/sim/host/cuda_host.h"

#include <cmath>

static inline float rsqrtf(float value) { return 1.0f / sqrtf(value); }

#include "support/model.cu"
