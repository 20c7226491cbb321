// templates/support/reference.cu for the simulated GPU; instrumented, hence apart from its test.
#define GPTQC_SIM_ARCH 900
#include "tests/sim/host/cuda_host.h"

#include <cmath>

#include "support/reference.cu"
