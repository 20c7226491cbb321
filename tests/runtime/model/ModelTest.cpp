// Whole tiny models against the logits that transformers computed for them in fp32
// (tests/support/record_tiny_models.py), and the hooks of the block pass.
#include "runtime/model/Model.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

const std::filesystem::path kTiny = std::filesystem::path(GPTQC_SOURCE_DIR) / "tests/data/tiny";

template <typename T> std::vector<T> tensorValues(const SafeTensorsFile &file, const char *name) {
  const std::span<const uint8_t> bytes = file.bytes(*file.find(name));
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

struct Recorded {
  std::vector<int32_t> ids;
  std::vector<float> logits;
  int64_t length = 0;
};

Recorded recordedFor(const std::string &name) {
  const auto file = SafeTensorsFile::open(kTiny / (name + ".reference.safetensors"));
  EXPECT_TRUE(file.ok()) << file.status().message();
  return {tensorValues<int32_t>(**file, "input_ids"), tensorValues<float>(**file, "logits"),
          (*file)->find("input_ids")->shape[1]};
}

/// Logits of all rows; `cache`, when given, takes one row in pieces of `piece` tokens.
Matrix logitsOf(const Model &model, const CpuContext &cpu, std::span<const int32_t> ids,
                BatchShape shape, KvCache *cache = nullptr) {
  Result<Matrix> x = model.embed(ids, shape);
  EXPECT_TRUE(x.ok()) << x.status().message();
  for (int64_t i = 0; i < model.config().blocks; ++i) {
    const Result<Block> block = model.loadBlock(i, 2);
    EXPECT_TRUE(block.ok()) << block.status().message();
    EXPECT_TRUE(runBlock(cpu, model.config(), *block, shape, x->ref(), nullptr, cache).ok());
  }
  if (cache)
    cache->advance(int64_t(ids.size()));
  const Result<OutputHead> head = model.loadHead();
  EXPECT_TRUE(head.ok()) << head.status().message();
  return head->logits(cpu, model.config(), x->ref());
}

class TinyModel : public testing::TestWithParam<const char *> {};

TEST_P(TinyModel, GivesTheLogitsOfTransformers) {
  const Result<Model> model = Model::open(kTiny / GetParam());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Recorded recorded = recordedFor(GetParam());
  for (const Blas &blas : {Blas::builtin(2), Blas::best(2)}) {
    const Matrix logits = logitsOf(*model, {blas, 2}, recorded.ids, {recorded.length});
    ASSERT_EQ(logits.values.size(), recorded.logits.size());
    for (size_t i = 0; i < logits.values.size(); ++i)
      ASSERT_NEAR(logits.values[i], recorded.logits[i], 3e-5) << blas.name() << " at " << i;
  }
}

TEST_P(TinyModel, GivesTheSameWithACache) {
  const Result<Model> model = Model::open(kTiny / GetParam());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Recorded recorded = recordedFor(GetParam());
  const CpuContext cpu = {Blas::builtin(2), 2};
  KvCache cache(model->config(), recorded.length);
  size_t element = 0;
  for (int64_t first = 0; first < recorded.length;) { // a long piece, then single tokens
    const int64_t count = first == 0 ? 10 : 1;
    const auto ids = std::span(recorded.ids).subspan(size_t(first), size_t(count));
    const Matrix logits = logitsOf(*model, cpu, ids, {count, first}, &cache);
    for (const float value : logits.values)
      ASSERT_NEAR(value, recorded.logits[element++], 3e-5) << "token " << first;
    first += count;
  }
  EXPECT_EQ(cache.length(), recorded.length);
  EXPECT_EQ(cache.room(), 0);
}

INSTANTIATE_TEST_SUITE_P(Architectures, TinyModel,
                         testing::Values("llama", "llama3-tied-bias", "llama-linear", "llama-yarn",
                                         "mistral-window", "qwen2-window", "qwen3", "opt"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(BlockPass, ShowsEachInputAndUsesReplacedWeights) {
  const Result<Model> model = Model::open(kTiny / "llama");
  ASSERT_TRUE(model.ok());
  const CpuContext cpu = {Blas::builtin(1), 1};
  const ModelConfig &config = model->config();
  const std::vector<int32_t> ids = {3, 4, 5, 6, 7, 8};
  Result<Block> block = model->loadBlock(0, 1);
  const Matrix start = *model->embed(ids, {3});
  Matrix x = start, whole = start;
  std::vector<std::string> seen;
  for (BlockPass pass(cpu, config, *block, {3}, x.ref()); !pass.done(); pass.advance()) {
    for (const Role role : pass.readers()) {
      const LinearWeights &linear = block->at(role);
      seen.push_back(linear.name);
      EXPECT_EQ(pass.input().rows, 6);
      EXPECT_EQ(pass.input().columns, linear.weight.columns);
    }
    if (pass.currentStage() == 2) // the MLP is switched off before it is applied
      std::fill(block->at(Role::Up).weight.values.begin(), block->at(Role::Up).weight.values.end(),
                0.0f);
  }
  const std::string prefix = "model.layers.0.";
  EXPECT_EQ(seen, (std::vector<std::string>{
                      prefix + "self_attn.k_proj", prefix + "self_attn.v_proj",
                      prefix + "self_attn.q_proj", prefix + "self_attn.o_proj",
                      prefix + "mlp.up_proj", prefix + "mlp.gate_proj", prefix + "mlp.down_proj"}));
  // What is left is x + attention(x): the state that the whole pass has before its MLP.
  int calls = 0;
  const Status status = runBlock(cpu, config, *block, {3}, whole.ref(),
                                 [&](std::span<const Role>, MatrixRef<const float>) {
                                   return ++calls == 4 ? invalidArgument("stop") : Status();
                                 });
  EXPECT_EQ(status.message(), "stop");
  EXPECT_EQ(x.values, whole.values);
  EXPECT_NE(x.values, start.values);
}

} // namespace
} // namespace gptqc
