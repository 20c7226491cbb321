// One simulated case: a layer, a kernel compiled for the host, a token count. Packs, runs,
// compares.
#ifndef GPTQC_TESTS_SIM_KERNELCASE_H
#define GPTQC_TESTS_SIM_KERNELCASE_H

#include <cstdint>
#include <string>

#include "runtime/core/KernelImage.h"
#include "runtime/core/LinearArgs.h"
#include "runtime/core/WeightLayout.h"
#include "runtime/cpu/Reference.h"
#include "runtime/cpu/Synthetic.h"
#include "tests/sim/Machine.h"

namespace gptqc::sim {

/// A kernel as the host compiler sees it; linear_args of the device headers has LinearArgs'
/// bytes.
using KernelEntry = void (*)(LinearArgs);

/// The kernels of one source.
struct KernelEntries {
  KernelEntry linear = nullptr;
  KernelEntry permuter = nullptr; ///< runs in front and permutes X, if the layer's kernel has one
};

/// Rows of Y: 16-byte aligned, all of them 2 bytes behind such a place, or with an odd stride.
enum class Rows { Aligned, Shifted, Odd };

/// The seed of a run decides the layer, the activations, their kind, how they are
/// spread over experts, the order of the threads, where Y lies, and whether an act-order layer is
/// in order already, as one whose X comes permuted: it has no permutation then, if its groups are
/// whole k16 steps.
Inputs inputsOf(uint64_t seed);
Routing routingOf(uint64_t seed);
bool runsBackwards(uint64_t seed);
Rows rowsOf(uint64_t seed);
bool isSequential(uint64_t seed);

/// The layer of a run, and X as [m, k].
struct CaseInputs {
  QuantizedMatrix matrix;
  std::vector<uint16_t> x;
};
/// InvalidArgument for a descriptor that no layer has.
Result<CaseInputs> makeInputs(const Descriptor &descriptor, int64_t m, uint64_t seed);

/// What a kernel reads and writes: every buffer at its exact size.
struct CaseData {
  PackedWeights packed;
  std::vector<uint16_t> x, y;
  std::vector<int32_t> offsets;    ///< of a grouped layer: where the experts' rows begin
  std::vector<uint16_t> permutedX; ///< what the kernel in front writes; empty without one
  std::vector<uint8_t> workspace;
  int64_t ldx = 0, ldy = 0;
  int64_t yOffset = 0; ///< elements of `y` in front of Y
  int64_t xOffset = 0; ///< elements of `x` in front of X, where the kernel in front permutes it
};

/// A kernel with a synthetic layer and m tokens, ready to run any number of times.
class CaseRun {
public:
  static Result<CaseRun> prepare(const KernelEntries &kernels, const LaunchFacts &facts,
                                 const std::string &descriptor, int64_t m, uint64_t seed);

  /// Checks the memory model, the result against the double reference, that unwritten outputs stay
  /// untouched, and that the split-K counters are back at zero.
  Report run(bool stopAtFirst = false);

  /// Y of the last run, [m, outputColumns], and what it should be.
  std::vector<uint16_t> output() const;
  const Reference &exact() const { return reference; }

private:
  KernelEntries kernels;
  LaunchFacts facts;
  Descriptor descriptor;
  int64_t m = 0;
  uint64_t seed = 0;
  CaseData data;
  Reference reference;

  const uint16_t *y() const { return data.y.data() + data.yOffset; }
  Report permuteX(bool stopAtFirst);
  Launch makeLaunch(LinearArgs &args);
  void checkSurroundings(Report &report) const;
};

/// Prepares and runs once; an invalid descriptor is a finding.
Report runCase(const KernelEntries &kernels, const LaunchFacts &facts,
               const std::string &descriptor, int64_t m, uint64_t seed);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_KERNELCASE_H
