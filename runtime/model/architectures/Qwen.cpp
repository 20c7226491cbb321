// Qwen2, Qwen2.5 (biases on q, k and v) and Qwen3 dense (norms on the heads of q and k).
#include <array>

#include "runtime/model/Architecture.h"

namespace gptqc {
namespace {

/// The window holds for the blocks that layer_types names, else for those from max_window_layers.
Status readWindows(const ConfigReader &config, ModelConfig &model) {
  GPTQC_ASSIGN(const bool used, config.flag("use_sliding_window", false));
  GPTQC_ASSIGN(const int64_t window, config.integer("sliding_window", 0));
  GPTQC_ASSIGN(const int64_t first, config.integer("max_window_layers", model.blocks));
  GPTQC_ASSIGN(const std::vector<std::string> types, config.texts("layer_types"));
  if (!types.empty() && int64_t(types.size()) != model.blocks)
    return dataCorrupt("layer_types has {} entries for {} blocks", types.size(), model.blocks);
  model.windows.assign(size_t(model.blocks), 0);
  for (int64_t block = 0; block < model.blocks && used; ++block)
    if (types.empty() ? block >= first : types[size_t(block)] == "sliding_attention")
      model.windows[size_t(block)] = window;
  return Status();
}

Status readQwen2(const ConfigReader &config, ModelConfig &model) {
  GPTQC_TRY(readLlamaLike(config, model));
  model.queryBias = true;
  return readWindows(config, model);
}

Status readQwen3(const ConfigReader &config, ModelConfig &model) {
  GPTQC_TRY(readLlamaLike(config, model));
  GPTQC_ASSIGN(model.headDim, config.integer("head_dim", 128));
  GPTQC_ASSIGN(model.queryBias, config.flag("attention_bias", false));
  model.outputBias = model.queryBias;
  model.headNorm = true;
  return readWindows(config, model);
}

constexpr Architecture qwen2() {
  return {.modelType = "qwen2",
          .embedding = "model.embed_tokens",
          .positions = "",
          .finalNorm = "model.norm",
          .head = "lm_head",
          .attentionNorm = "input_layernorm",
          .mlpNorm = "post_attention_layernorm",
          .queryNorm = "",
          .keyNorm = "",
          .read = readQwen2};
}

constexpr Architecture qwen3() {
  Architecture row = qwen2();
  row.modelType = "qwen3";
  row.queryNorm = "self_attn.q_norm";
  row.keyNorm = "self_attn.k_norm";
  row.read = readQwen3;
  return row;
}

constexpr std::array kQwenFamily = {qwen2(), qwen3()};

} // namespace

std::span<const Architecture> qwenArchitectures() { return kQwenFamily; }

} // namespace gptqc
