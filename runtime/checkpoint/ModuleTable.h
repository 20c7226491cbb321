// Which linear layers of a model architecture GPTQ quantizes, by the names of the Hugging Face
// checkpoints.
#ifndef GPTQC_RUNTIME_CHECKPOINT_MODULETABLE_H
#define GPTQC_RUNTIME_CHECKPOINT_MODULETABLE_H

#include <string>
#include <string_view>
#include <vector>

#include "runtime/checkpoint/HfFolder.h"

namespace gptqc {

struct ModuleTable {
  std::string_view modelType;            ///< config.json's model_type
  std::string_view prefix;               ///< of a block, e.g. "model.layers."
  std::vector<std::string_view> modules; ///< inside a block, in calibration order

  /// Null for an architecture that is not in the table.
  static const ModuleTable *forModelType(std::string_view modelType);
  /// "llama, mistral, ..."
  static std::string supported();

  /// Whether `module` is one of the quantized layers of some block.
  bool quantizes(std::string_view module) const;

  /// The modules of a model folder, block by block; NotFound when it has none, or when a block
  /// lacks one that the first block has. Unsupported for an unknown model_type.
  static Result<std::vector<std::string>> modulesOf(const HfFolder &folder);
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_MODULETABLE_H
