// Which of the zero-point conventions a layer's words follow. Files disagree with their
// configuration here more often than anywhere else, so the words themselves are asked.
#ifndef GPTQC_RUNTIME_CHECKPOINT_ZEROPOINTS_H
#define GPTQC_RUNTIME_CHECKPOINT_ZEROPOINTS_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/checkpoint/Finding.h"
#include "runtime/checkpoint/QuantConfig.h"

namespace gptqc {

struct ZeroPointSource {
  const std::string &layer;
  const ModuleConfig &config;
  const WriterIdentity &writer;
  int64_t groups = 0, n = 0;
};

struct ZeroPoints {
  std::vector<uint8_t> zeros; ///< [G,N], 0..2^bits-1
  ZeroRule rule = ZeroRule::Stored;
};

/// Decodes qzeros (as stored, [G, N*bits/32] words). Findings: wrong 3-bit zeros of older writers
/// (repaired here), v1 zero points of 0 by a writer that is not known to hold them, zeros damaged
/// by OR packing, a `sym` or a format that the words contradict.
ZeroPoints readZeroPoints(const ZeroPointSource &source, std::span<const uint8_t> words,
                          std::vector<Finding> &findings);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_ZEROPOINTS_H
