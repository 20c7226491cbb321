// OPT: layer norms, learned positions, an MLP without a gate.
#include <array>

#include "runtime/model/Architecture.h"

namespace gptqc {
namespace {

Status readOpt(const ConfigReader &config, ModelConfig &model) {
  model.norm = NormKind::Layer;
  model.normEpsilon = 1e-5f;
  model.gated = false;
  model.kvHeads = model.heads;
  model.headDim = model.hidden / model.heads;
  GPTQC_ASSIGN(model.intermediate, config.size("ffn_dim"));
  GPTQC_ASSIGN(model.activation, config.activation("activation_function", "relu"));
  GPTQC_ASSIGN(model.queryBias, config.flag("enable_bias", true));
  model.outputBias = model.mlpBias = model.queryBias;
  GPTQC_ASSIGN(model.normWeights, config.flag("layer_norm_elementwise_affine", true));
  GPTQC_ASSIGN(model.tiedHead, config.flag("tie_word_embeddings", true));
  GPTQC_ASSIGN(const bool before, config.flag("do_layer_norm_before", true));
  GPTQC_ASSIGN(const bool removed, config.flag("_remove_final_layer_norm", false));
  GPTQC_ASSIGN(const int64_t projection, config.integer("word_embed_proj_dim", model.hidden));
  if (!before || removed || projection != model.hidden)
    return makeError(Code::Unsupported,
                     "OPT with norms after the layers or projected embeddings (OPT-350m) cannot be "
                     "run; use another size");
  return Status();
}

constexpr std::array<Architecture, 1> kOptFamily = {{{.modelType = "opt",
                                                      .embedding = "model.decoder.embed_tokens",
                                                      .positions = "model.decoder.embed_positions",
                                                      .positionOffset = 2,
                                                      .finalNorm = "model.decoder.final_layer_norm",
                                                      .head = "lm_head",
                                                      .attentionNorm = "self_attn_layer_norm",
                                                      .mlpNorm = "final_layer_norm",
                                                      .queryNorm = "",
                                                      .keyNorm = "",
                                                      .read = readOpt}}};

} // namespace

std::span<const Architecture> optArchitectures() { return kOptFamily; }

} // namespace gptqc
