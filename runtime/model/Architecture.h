// Architecture: the names of a model's tensors and how to read its config.json. One row per
// model_type, in the file of its family under architectures/.
#ifndef GPTQC_RUNTIME_MODEL_ARCHITECTURE_H
#define GPTQC_RUNTIME_MODEL_ARCHITECTURE_H

#include <span>
#include <string>
#include <string_view>

#include "runtime/core/Status.h"
#include "runtime/model/ConfigReader.h"
#include "runtime/model/ModelConfig.h"

namespace gptqc {

/// The names of the linear layers and the prefix of blocks are those of ModuleTable, which lists
/// layers in the order of Role (without Gate where the MLP has none).
struct Architecture {
  std::string_view modelType; ///< config.json's model_type
  std::string_view embedding; ///< module names; the tensors are <name>.weight and .bias
  std::string_view positions; ///< learned positions; empty: none
  int64_t positionOffset = 0; ///< row of position 0
  std::string_view finalNorm;
  std::string_view head;
  std::string_view attentionNorm, mlpNorm; ///< inside a block
  std::string_view queryNorm, keyNorm;     ///< inside a block; empty: none
  Status (*read)(const ConfigReader &config, ModelConfig &model);

  /// Unsupported for a model_type that is not in the table: says which are, and how to add one.
  static Result<const Architecture *> forModelType(const std::string &modelType);
};

/// The rows of a family.
std::span<const Architecture> llamaArchitectures();
std::span<const Architecture> optArchitectures();
std::span<const Architecture> qwenArchitectures();

/// What Llama and its descendants have in common: sizes, RMS norms, SwiGLU, rope, GQA.
Status readLlamaLike(const ConfigReader &config, ModelConfig &model);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_ARCHITECTURE_H
