// What is wrong with a folder is said in one line that names it.
#include <limits>

#include "runtime/model/Model.h"
#include "tests/runtime/model/ModelFolder.h"

namespace gptqc {
namespace {

using fixtures::expectError;
using fixtures::ModelFolder;

Status openStatus(ModelFolder &folder) { return Model::open(folder.write()).status(); }

TEST(ModelErrors, UnknownArchitecture) {
  ModelFolder folder("llama");
  folder.config["model_type"] = "mamba";
  expectError(openStatus(folder), Code::Unsupported,
              "model_type 'mamba' cannot be run; supported: llama, mistral, opt, qwen2, qwen3; "
              "runtime/model/README.md says how to add one");
}

TEST(ModelErrors, MissingTensors) {
  for (const char *name :
       {"model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.weight",
        "model.layers.0.input_layernorm.weight", "model.norm.weight", "lm_head.weight"}) {
    ModelFolder folder("llama");
    folder.remove(name);
    expectError(openStatus(folder), Code::NotFound,
                std::string("tensor ") + name + " is missing; fetch the model again");
  }
  ModelFolder bias("qwen2-window");
  bias.remove("model.layers.1.self_attn.k_proj.bias");
  expectError(openStatus(bias), Code::NotFound, "model.layers.1.self_attn.k_proj.bias is missing");
  ModelFolder heads("qwen3");
  heads.remove("model.layers.0.self_attn.k_norm.weight");
  expectError(openStatus(heads), Code::NotFound, "self_attn.k_norm.weight is missing");
}

TEST(ModelErrors, MisshapedTensors) {
  ModelFolder folder("llama");
  folder.config["intermediate_size"] = 40;
  expectError(openStatus(folder), Code::DataCorrupt,
              "tensor model.layers.0.mlp.up_proj.weight is F16 [48,32], config.json asks for "
              "[40,32]");
  ModelFolder opt("opt");
  opt.config["max_position_embeddings"] = 60;
  expectError(openStatus(opt), Code::DataCorrupt,
              "tensor model.decoder.embed_positions.weight is F16 [66,32]");
}

TEST(ModelErrors, NotANumber) {
  ModelFolder folder("llama");
  const uint16_t notANumber = 0x7e00;
  std::memcpy(folder.bytes["model.layers.1.mlp.down_proj.weight"].data() + 10, &notANumber, 2);
  const Result<Model> model = Model::open(folder.write());
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_TRUE(model->loadBlock(0, 2).ok());
  expectError(model->loadBlock(1, 2).status(), Code::DataCorrupt,
              "tensor model.layers.1.mlp.down_proj.weight: element 5 is nan");
}

TEST(ModelErrors, Configuration) {
  const auto with = [](const char *key, const nlohmann::ordered_json &value) {
    ModelFolder folder("llama");
    folder.config[key] = value;
    return openStatus(folder);
  };
  expectError(with("hidden_size", nullptr), Code::DataCorrupt,
              "config.json: hidden_size is missing");
  expectError(with("num_attention_heads", -4), Code::DataCorrupt,
              "num_attention_heads is -4, which is no positive integer");
  expectError(with("num_key_value_heads", 3), Code::DataCorrupt,
              "4 heads of 8 columns with 3 key/value heads do not fit");
  expectError(with("rms_norm_eps", "small"), Code::DataCorrupt, "rms_norm_eps is \"small\"");
  expectError(with("attention_bias", 1), Code::DataCorrupt, "attention_bias is 1");
  expectError(with("hidden_act", "mish"), Code::Unsupported,
              "hidden_act 'mish' cannot be run; supported: silu, relu, gelu");
  expectError(with("eos_token_id", {1, "end"}), Code::DataCorrupt, "eos_token_id");
  const nlohmann::ordered_json longrope = {{"rope_type", "longrope"}};
  expectError(with("rope_parameters", longrope), Code::Unsupported,
              "rope type 'longrope' cannot be run; supported: default, linear, llama3, yarn");
  const nlohmann::ordered_json zero = {{"rope_type", "linear"}, {"factor", 0}};
  expectError(with("rope_parameters", zero), Code::DataCorrupt, "out of range");
  const nlohmann::ordered_json partial = {{"partial_rotary_factor", 0.5}};
  expectError(with("rope_parameters", partial), Code::Unsupported, "partial_rotary_factor 0.5");
  ModelFolder windows("qwen2-window");
  windows.config["layer_types"] = {"full_attention"};
  expectError(openStatus(windows), Code::DataCorrupt, "layer_types has 1 entries for 2 blocks");
  ModelFolder small("opt");
  small.config["do_layer_norm_before"] = false;
  expectError(openStatus(small), Code::Unsupported, "OPT-350m");
}

TEST(ModelErrors, Tokens) {
  const Result<Model> llama = Model::open(fixtures::dataFolder() / "tiny/llama");
  ASSERT_TRUE(llama.ok());
  const std::vector<int32_t> ids = {1, 64};
  expectError(llama->embed(ids, {2}).status(), Code::InvalidArgument,
              "token id 64 at position 1 is outside the vocabulary of 64");
  const Result<Model> opt = Model::open(fixtures::dataFolder() / "tiny/opt");
  ASSERT_TRUE(opt.ok());
  const std::vector<int32_t> many(65, 5);
  expectError(opt->embed(many, {65}).status(), Code::InvalidArgument,
              "65 tokens: the model has learned 64 positions");
  EXPECT_TRUE(opt->embed(std::span(many).first(64), {64}).ok());
}

} // namespace
} // namespace gptqc
