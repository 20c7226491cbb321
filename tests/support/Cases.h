// Lists of small descriptors that tests of executors and kernels run on.
#ifndef GPTQC_TESTS_SUPPORT_CASES_H
#define GPTQC_TESTS_SUPPORT_CASES_H

#include <vector>

#include "runtime/core/Descriptor.h"

namespace gptqc::fixtures {

/// A pairwise cover of bits, zero points, group sizes, column orders, types, epilogues, N and K,
/// with odd sizes and short last groups among them. Every N * K is below 64 Ki; m is 1...
std::vector<Descriptor> smallCases();

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_SUPPORT_CASES_H
