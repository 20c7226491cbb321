// A simulated case as text, `descriptor | target | schedule | token counts | seed`: the lines of
// cases.txt, what a failing case prints, and what the random sweep makes.
#ifndef GPTQC_TESTS_SIM_CASELINE_H
#define GPTQC_TESTS_SIM_CASELINE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Target.h"

namespace gptqc::sim {

struct CaseLine {
  Descriptor descriptor;
  Target target;
  Schedule schedule;
  std::vector<int64_t> tokens;
  uint64_t seed = 0; ///< 0: none given, the case runs with several

  /// Parses a line; the schedule may be `default`, the seed may be left out.
  static Result<CaseLine> parse(std::string_view text);
  std::string print() const;
};

/// Small layers with tails in every dimension, so that every pair of options occurs, for wgmma
/// alone once more (one run each): bits, zero points, groups, order, types, scales, epilogue,
/// shape, tokens, target, and default or sampled schedules of each family.
std::vector<CaseLine> coverCases(uint64_t seed);

/// `count` random ones of the same space, each with a seed.
std::vector<CaseLine> randomCases(uint64_t seed, size_t count);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_CASELINE_H
