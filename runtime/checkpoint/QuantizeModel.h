// From a model folder to a quantized one: the modules of the architecture, layer by layer on all
// cores, through a method (round to nearest) into the checkpoint writer.
#ifndef GPTQC_RUNTIME_CHECKPOINT_QUANTIZEMODEL_H
#define GPTQC_RUNTIME_CHECKPOINT_QUANTIZEMODEL_H

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "runtime/checkpoint/QuantConfig.h"

namespace gptqc {

struct QuantizeOptions {
  int bits = 4;
  int64_t groupSize = 128; ///< -1: one group
  bool sym = true;
  bool actOrder = false;
  std::optional<FileFormat>
      format;           ///< empty: gptq_p for 5, 6, 7 bits, gptq_v2 when asymmetric, else gptq
  bool force = false;   ///< replace an output folder that is not empty
  unsigned threads = 0; ///< 0: one per core, as far as memory reaches
  uint64_t maxShardBytes = 5'000'000'000;
  std::string writer = "gptqc"; ///< what meta.quantizer says
};

struct QuantizeReport {
  int64_t layers = 0;
  int64_t weights = 0;      ///< quantized weights
  int64_t shortGroups = 0;  ///< layers whose last group is short, which many readers refuse
  uint64_t tensorBytes = 0; ///< of the new folder
};

/// Called from worker threads after each layer: layers done, layers in all, the layer's name.
using QuantizeProgress = std::function<void(int64_t done, int64_t total, const std::string &name)>;

/// The options as a file states them; InvalidArgument for bits, group sizes or a format that do not
/// go together.
Result<ModuleConfig> resolveConfig(const QuantizeOptions &options);

/// Rounds every linear layer of the model's blocks to nearest and writes a complete folder.
/// `output` appears only when all is done.
Result<QuantizeReport> quantizeModel(const std::filesystem::path &model,
                                     const std::filesystem::path &output,
                                     const QuantizeOptions &options,
                                     const QuantizeProgress &progress);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_QUANTIZEMODEL_H
