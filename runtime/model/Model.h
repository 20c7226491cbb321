// A model folder that can be run block by block: dense or GPTQ-quantized, weights read from the
// mapped files when a block is asked for, so that a model larger than memory can be processed.
#ifndef GPTQC_RUNTIME_MODEL_MODEL_H
#define GPTQC_RUNTIME_MODEL_MODEL_H

#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/ModuleTable.h"
#include "runtime/model/Architecture.h"
#include "runtime/model/BlockPass.h"

namespace gptqc {

/// The final norm and the output layer.
struct OutputHead {
  Norm norm;
  LinearWeights linear; ///< [vocabulary, hidden]

  /// Logits [rows of x, vocabulary] of the last block's output.
  Matrix logits(const CpuContext &cpu, const ModelConfig &config, MatrixRef<const float> x) const;
};

/// Immutable and thread-safe once open; cheap to copy (shares the mappings).
///
///   embed -> for each block: loadBlock, runBlock -> loadHead, logits
class Model {
public:
  /// Reads config.json and checks that every tensor is there with its shape. Unsupported for an
  /// architecture that is not in the table; NotFound or DataCorrupt naming the tensor or key.
  static Result<Model> open(const std::filesystem::path &directory);

  const ModelConfig &config() const { return facts; }
  const HfFolder &folder() const { return hf; }
  /// Whether some linear layers are stored quantized.
  bool quantized() const { return checkpoint.has_value(); }
  /// The quantized layers; only when quantized().
  const Checkpoint &quantizedLayers() const { return *checkpoint; }
  /// "model.layers.3.mlp.up_proj"
  std::string moduleName(int64_t block, Role role) const;
  /// About the memory that the weights of one block take.
  int64_t blockBytes(WeightForm form = WeightForm::Dense) const;

  /// All weights of a block. DataCorrupt naming the tensor that holds a NaN or infinity.
  Result<Block> loadBlock(int64_t index, int threads, WeightForm form = WeightForm::Dense) const;

  /// The input of block 0 for whole sequences. InvalidArgument for a token outside the vocabulary,
  /// or a position beyond those that the model has learned.
  Result<Matrix> embed(std::span<const int32_t> tokens, BatchShape shape) const;

  Result<OutputHead> loadHead(WeightForm form = WeightForm::Dense) const;

private:
  Status checkTensors() const;
  Status checkBlock(int64_t index) const;
  Status checkLinear(const std::string &module, int64_t rows, int64_t columns, bool bias) const;
  Status checkNorm(const std::string &module, int64_t columns, bool bias) const;
  Status checkTensor(const std::string &name, const std::vector<int64_t> &shape) const;
  std::string inBlock(int64_t block, std::string_view name) const;
  Result<std::vector<float>> load(const std::string &tensor) const;
  Result<LinearWeights> loadLinear(const std::string &module, WeightForm form) const;
  Result<LinearWeights> loadQuantized(const LayerInfo &layer, WeightForm form) const;
  Result<Norm> loadNorm(const std::string &module) const;

  HfFolder hf;
  std::optional<Checkpoint> checkpoint;
  const Architecture *architecture = nullptr;
  const ModuleTable *modules = nullptr;
  ModelConfig facts;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_MODEL_H
