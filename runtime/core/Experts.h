// Experts: grouped layers (a mixture of experts). E layers of one shape are one layer whose rows of
// X come sorted by expert; `offsets`, [E + 1], say where each expert's rows begin.
#ifndef GPTQC_RUNTIME_CORE_EXPERTS_H
#define GPTQC_RUNTIME_CORE_EXPERTS_H

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

/// One layer of all experts; the codes may be empty in all of them. Experts may differ in whether
/// they need zero points, a column order or ragged groups: then all have them. InvalidArgument,
/// naming the expert, when they differ in shape, bits, groups, types or bias, or when there are
/// fewer than 2 or more than kMaxExperts.
Result<QuantizedMatrix> stackExperts(const std::vector<QuantizedMatrix> &experts);

/// An expert of a grouped layer as a plain layer.
QuantizedMatrix expertOf(const QuantizedMatrix &matrix, int64_t expert);

/// Offsets on the host: [experts + 1], ascending, inside of 0..rows.
Status checkOffsets(const Descriptor &descriptor, std::span<const int32_t> offsets, int64_t rows);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_EXPERTS_H
