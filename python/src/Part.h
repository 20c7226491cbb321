// Part: the tensors of one quantized layer, from a checkpoint or from Python, before they are
// packed.
#ifndef GPTQC_PYTHON_SRC_PART_H
#define GPTQC_PYTHON_SRC_PART_H

#include <optional>

#include "python/src/Support.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/dispatch/Linear.h"

namespace gptqc::python {

struct Part {
  QuantizedMatrix facts; ///< all but the codes
  Packing packing = Packing::Continuous;
  ZeroRule zeroRule = ZeroRule::Stored;
  const void *words = nullptr; ///< qweight [K*bits/32, N] int32
  bool onDevice = false;       ///< `words` is an address of the GPU
  // What keeps `words` alive, one of:
  std::optional<Checkpoint> checkpoint;
  std::optional<Array> array;

  /// What the GPU side takes; borrows this.
  LinearPart linearPart() const;
};

/// The layer of the parts with its codes, on the host. InvalidArgument as joinParts, and for words
/// on a GPU.
Result<QuantizedMatrix> joinOnHost(std::span<const Part *const> parts, const LayerPlan &plan);

} // namespace gptqc::python

#endif // GPTQC_PYTHON_SRC_PART_H
