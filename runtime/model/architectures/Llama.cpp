// Llama 2 and 3, and Mistral, which adds a sliding window.
#include <array>

#include "runtime/model/Architecture.h"

namespace gptqc {
namespace {

Status readLlama(const ConfigReader &config, ModelConfig &model) {
  GPTQC_TRY(readLlamaLike(config, model));
  GPTQC_ASSIGN(model.queryBias, config.flag("attention_bias", false));
  GPTQC_ASSIGN(model.mlpBias, config.flag("mlp_bias", false));
  model.outputBias = model.queryBias;
  return Status();
}

Status readMistral(const ConfigReader &config, ModelConfig &model) {
  GPTQC_TRY(readLlamaLike(config, model));
  GPTQC_ASSIGN(const int64_t window, config.integer("sliding_window", 0));
  model.windows.assign(size_t(model.blocks), window);
  return Status();
}

constexpr Architecture family(std::string_view modelType,
                              Status (*read)(const ConfigReader &, ModelConfig &)) {
  return {.modelType = modelType,
          .embedding = "model.embed_tokens",
          .positions = "",
          .finalNorm = "model.norm",
          .head = "lm_head",
          .attentionNorm = "input_layernorm",
          .mlpNorm = "post_attention_layernorm",
          .queryNorm = "",
          .keyNorm = "",
          .read = read};
}

constexpr std::array kLlamaFamily = {family("llama", readLlama), family("mistral", readMistral)};

} // namespace

std::span<const Architecture> llamaArchitectures() { return kLlamaFamily; }

Status readLlamaLike(const ConfigReader &config, ModelConfig &model) {
  model.norm = NormKind::Rms;
  model.gated = true;
  GPTQC_ASSIGN(model.intermediate, config.size("intermediate_size"));
  GPTQC_ASSIGN(model.kvHeads, config.integer("num_key_value_heads", model.heads));
  GPTQC_ASSIGN(model.headDim, config.integer("head_dim", model.hidden / model.heads));
  GPTQC_ASSIGN(const double epsilon, config.number("rms_norm_eps", 1e-6));
  model.normEpsilon = float(epsilon);
  GPTQC_ASSIGN(model.activation, config.activation("hidden_act", "silu"));
  GPTQC_ASSIGN(model.rope, config.rope(model.positions));
  return Status();
}

} // namespace gptqc
