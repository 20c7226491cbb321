// One decoder block with its weights in memory.
#ifndef GPTQC_RUNTIME_MODEL_BLOCK_H
#define GPTQC_RUNTIME_MODEL_BLOCK_H

#include <array>
#include <span>
#include <string>
#include <vector>

#include "runtime/checkpoint/HfFolder.h"
#include "runtime/core/QuantizedMatrix.h"
#include "runtime/cpu/Matrix.h"
#include "runtime/model/ModelConfig.h"
#include "runtime/model/PackedLinear.h"

namespace gptqc {

/// How weights are held; those of dense layers are fp32 in the first two forms.
enum class WeightForm {
  Dense,  ///< dequantized to fp32: for batches
  Packed, ///< for the CPU executor: for generation, which is bound by memory
  Stored  ///< as the files hold them, codes or floats of any type: for a GPU
};

/// Y = X W^T + bias. Weights may be replaced between passes (the solver does).
struct LinearWeights {
  std::string name;        ///< of the module, e.g. "model.layers.0.self_attn.q_proj"
  Matrix weight;           ///< [N, K]; empty when packed, codes or stored
  std::vector<float> bias; ///< [N]; empty: none, or inside `packed` or `codes`
  std::shared_ptr<const PackedLinear> packed;
  std::shared_ptr<const QuantizedMatrix> codes;
  TensorRef stored; ///< [N, K] in a mapped file, finite; empty in other forms
};

/// Weights of a norm; both empty where the model has none.
struct Norm {
  std::vector<float> weight;
  std::vector<float> bias; ///< layer norms only
};

struct Block {
  int64_t index = 0;
  std::array<LinearWeights, kRoles> linears; ///< by Role; Gate is empty in a model without
  Norm attentionNorm, mlpNorm;
  Norm queryNorm, keyNorm; ///< [headDim], or empty

  LinearWeights &at(Role role) { return linears[size_t(role)]; }
  const LinearWeights &at(Role role) const { return linears[size_t(role)]; }
};

/// The linear layers that read the same input, in calibration order: key, value, query; the output
/// of attention; up and gate; down. `stage` is 0..kStages-1.
inline constexpr int kStages = 4;
std::span<const Role> rolesOf(const ModelConfig &config, int stage);
int stageOf(Role role);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_BLOCK_H
