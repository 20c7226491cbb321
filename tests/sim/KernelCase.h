// One simulated case: a layer, a kernel compiled for the host, a token count. Packs, runs,
// compares.
#ifndef GPTQC_TESTS_SIM_KERNELCASE_H
#define GPTQC_TESTS_SIM_KERNELCASE_H

#include <cstdint>
#include <string>

#include "runtime/core/KernelImage.h"
#include "runtime/core/LinearArgs.h"
#include "runtime/cpu/Synthetic.h"
#include "tests/sim/Machine.h"

namespace gptqc::sim {

/// The kernel as the host compiler sees it; linear_args of the device headers has LinearArgs'
/// bytes.
using KernelEntry = void (*)(LinearArgs);

/// Runs `kernel` on a synthetic layer with this descriptor (text) and m tokens of `inputs`, every
/// buffer at its exact size, and checks the memory model, the result against the double reference,
/// that unwritten outputs stay untouched, and that the split-K counters are back at zero.
Report runCase(KernelEntry kernel, const LaunchFacts &launch, const std::string &descriptor,
               int64_t m, Inputs inputs, uint64_t seed);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_KERNELCASE_H
