// Results of a GPU beside the cases that gave them: a file of case lines, each with Y in comments
// below it.
#ifndef GPTQC_TESTS_SIM_RECORDING_H
#define GPTQC_TESTS_SIM_RECORDING_H

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/cpu/Compare.h"

namespace gptqc::sim {

struct RecordedCase {
  std::string line;        ///< descriptor | target | schedule | tokens | seed
  std::vector<uint16_t> y; ///< [tokens, outputColumns] values of the descriptor's out
};

/// NotFound, or InvalidArgument for what is not a file of this kind.
Result<std::vector<RecordedCase>> readRecording(const std::string &path);

/// The text that readRecording reads, behind `head`, its comment.
std::string printRecording(const std::string &head, const std::vector<RecordedCase> &cases);

/// Compares y, of row stride ldy, with the recording as compareOutput does with the exact result,
/// whose spread counts. A recording of another size fails in all elements.
Comparison compareWithRecording(const Descriptor &descriptor, const Reference &exact,
                                const std::vector<uint16_t> &recorded, const uint16_t *y,
                                int64_t ldy);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_RECORDING_H
