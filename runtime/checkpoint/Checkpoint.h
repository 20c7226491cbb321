// A GPTQ checkpoint on disk: the list of its quantized layers with their descriptors, and each
// layer in the plain form. Everything else of the folder stays reachable through folder().
#ifndef GPTQC_RUNTIME_CHECKPOINT_CHECKPOINT_H
#define GPTQC_RUNTIME_CHECKPOINT_CHECKPOINT_H

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/checkpoint/Finding.h"
#include "runtime/checkpoint/HfFolder.h"
#include "runtime/checkpoint/LayerReader.h"
#include "runtime/checkpoint/QuantConfig.h"
#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

struct LayerInfo {
  std::string name;      ///< module name, e.g. "model.layers.0.mlp.up_proj"
  Descriptor descriptor; ///< m1..: the weights do not depend on M
  ModuleConfig config;   ///< what the configuration says about this module
  int64_t groups = 0;
  bool hasGroupIndex = false;
  ElementType scaleType = ElementType::F16; ///< as stored
  int64_t fileBytes = 0;                    ///< qweight, qzeros, scales and g_idx
  double bitsPerWeight() const {
    return double(fileBytes) * 8 / (double(descriptor.n) * double(descriptor.k));
  }
};

/// Immutable and thread-safe once open; cheap to copy.
class Checkpoint {
public:
  /// Opens a folder and reads the facts of all layers. Fails on the first layer that cannot be
  /// read; what could be repaired in memory, or is merely suspicious, is in findings().
  static Result<Checkpoint> open(const std::filesystem::path &directory);

  /// The same, but unreadable layers become findings too and are left out of layers().
  static Result<Checkpoint> examine(const std::filesystem::path &directory);

  const HfFolder &folder() const { return hf; }
  const QuantConfig &config() const { return quantConfig; }
  /// In the order of the model (numbers in names count as numbers).
  const std::vector<LayerInfo> &layers() const { return layerInfos; }
  const std::vector<Finding> &findings() const { return allFindings; }
  /// Null when no layer has that name.
  const LayerInfo *find(std::string_view name) const;

  /// The layer with its codes still packed, borrowed from the mapping.
  Result<RawLayer> rawLayer(const LayerInfo &layer) const;
  /// The layer with codes [K,N].
  Result<QuantizedMatrix> loadLayer(const LayerInfo &layer) const;

private:
  void readLayers(std::vector<std::string> names);
  void checkAcrossLayers();
  void add(Severity severity, std::string check, std::string subject, std::string problem,
           std::string repair);

  HfFolder hf;
  QuantConfig quantConfig;
  std::vector<LayerInfo> layerInfos;
  std::vector<Finding> allFindings;
};

/// Orders "layers.2" before "layers.10".
bool naturalLess(std::string_view a, std::string_view b);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_CHECKPOINT_H
