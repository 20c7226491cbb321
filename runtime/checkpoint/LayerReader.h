// One quantized layer of a checkpoint: its tensors are checked against each other and against the
// configuration, and brought into the plain form (normalized zero points, sequential g_idx
// dropped).
#ifndef GPTQC_RUNTIME_CHECKPOINT_LAYERREADER_H
#define GPTQC_RUNTIME_CHECKPOINT_LAYERREADER_H

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/checkpoint/Finding.h"
#include "runtime/checkpoint/HfFolder.h"
#include "runtime/checkpoint/QuantConfig.h"
#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

/// A layer with its codes still packed: what the repack kernel takes.
struct RawLayer {
  QuantizedMatrix facts; ///< everything but the codes
  Packing packing = Packing::Continuous;
  std::span<const uint8_t>
      qweight; ///< int32 [K*bits/32, N] of the mapped file; no alignment promised
  ZeroRule zeroRule = ZeroRule::Stored;     ///< how the zero points were read
  bool hasGroupIndex = false;               ///< the file stores g_idx
  ElementType scaleType = ElementType::F16; ///< as stored
  int64_t fileBytes = 0;                    ///< qweight, qzeros, scales and g_idx
};

/// What the reader needs to know of the checkpoint around a layer.
struct LayerContext {
  ModuleConfig config;
  WriterIdentity writer;
  DType activation = DType::F16;
};

/// Reads `name`.qweight and the tensors that belong to it. What it finds is appended to `findings`;
/// no value when one of them is fatal.
std::optional<RawLayer> readLayer(const HfFolder &folder, const std::string &name,
                                  const LayerContext &context, std::vector<Finding> &findings);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_LAYERREADER_H
