// What the forward pass needs to know of a decoder-only model, whatever its architecture; read from
// config.json by the file of the architecture.
#ifndef GPTQC_RUNTIME_MODEL_MODELCONFIG_H
#define GPTQC_RUNTIME_MODEL_MODELCONFIG_H

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace gptqc {

/// The linear layers of a block, in the order in which they are calibrated: layers up to the next
/// group read the same input.
enum class Role { Key, Value, Query, AttentionOutput, Up, Gate, Down };
inline constexpr size_t kRoles = 7;

enum class NormKind {
  Rms,  ///< x * rsqrt(mean(x^2) + eps) * weight
  Layer ///< (x - mean) * rsqrt(variance + eps) * weight + bias
};
enum class Activation { Silu, Relu, Gelu, GeluTanh };

/// Rotary position embedding, as config.json gives it.
struct RopeParameters {
  enum class Kind { Default, Linear, Llama3, Yarn };
  Kind kind = Kind::Default;
  double theta = 10000;
  double factor = 1;                          ///< how far the context is stretched
  double lowFrequency = 1, highFrequency = 4; ///< Llama3
  double betaFast = 32, betaSlow = 1;         ///< Yarn
  double mscale = 0, mscaleAllDim = 0;        ///< Yarn; 0: not given
  std::optional<double> attentionFactor;      ///< Yarn; derived from factor when not given
  bool truncate = true;                       ///< Yarn: round the correction range
  int64_t originalPositions = 0;              ///< context length before stretching
};

struct ModelConfig {
  int64_t hidden = 0, blocks = 0, vocabulary = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0;
  int64_t intermediate = 0;
  int64_t positions = 0; ///< longest sequence that the model was made for
  NormKind norm = NormKind::Rms;
  float normEpsilon = 1e-6f;
  bool headNorm = false; ///< an RMS norm on each head of q and k, before rope
  bool gated = true;     ///< down(act(gate) * up), else down(act(up))
  Activation activation = Activation::Silu;
  std::optional<RopeParameters> rope; ///< none: learned positions
  bool tiedHead = false;              ///< the output layer is the embedding
  bool queryBias = false, outputBias = false, mlpBias = false; ///< query: also key and value
  bool normWeights = true;                                     ///< norms have weights
  std::vector<int64_t> windows;      ///< [blocks] tokens that attention sees; 0: all before
  std::vector<int32_t> endTokens;    ///< eos_token_id; may be empty
  std::optional<int32_t> beginToken; ///< bos_token_id

  /// Output and input features of a linear layer.
  int64_t rows(Role role) const;
  int64_t columns(Role role) const;
  bool hasBias(Role role) const;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_MODELCONFIG_H
