// Sampling, and generation with dense and quantized weights.
#include "runtime/model/Generate.h"

#include <map>

#include "runtime/checkpoint/QuantizeModel.h"
#include "runtime/model/Perplexity.h"
#include "tests/runtime/model/ModelFolder.h"

namespace gptqc {
namespace {

using fixtures::dataFolder;
using fixtures::expectError;

TEST(Sampler, GreedyAndTopP) {
  const std::vector<float> logits = {1, 3, 3, -2};
  std::vector<float> copy = logits;
  EXPECT_EQ(Sampler::create({})->choose(copy), 1);
  // Probabilities 0.063, 0.467, 0.467, 0.003: half of it is in the two equal ones.
  Result<Sampler> nucleus = Sampler::create({1, 0.9f, 5});
  Result<Sampler> all = Sampler::create({1, 1, 5});
  std::map<int32_t, int> counts, allCounts;
  for (int i = 0; i < 4000; ++i) {
    copy = logits;
    ++counts[nucleus->choose(copy)];
    copy = logits;
    ++allCounts[all->choose(copy)];
  }
  EXPECT_EQ(counts.size(), 2U);
  EXPECT_NEAR(counts[1], 2000, 200);
  EXPECT_NEAR(allCounts[0], 4000 * 0.0631, 80);
  EXPECT_NEAR(allCounts[2], 4000 * 0.4663, 200);
}

TEST(Sampler, ATinyTemperatureIsNoneAtAll) {
  for (const float temperature : {1e-3f, 1e-38f, 1e-45f}) {
    std::vector<float> logits = {1, 3, 500, -2};
    EXPECT_EQ(Sampler::create({temperature, 1, 5})->choose(logits), 2) << temperature;
  }
}

TEST(Sampler, TheSeedDecides) {
  const std::vector<float> logits(50, 0);
  const auto draw = [&](uint64_t seed) {
    Result<Sampler> sampler = Sampler::create({2, 1, seed});
    std::vector<int32_t> drawn;
    for (int i = 0; i < 20; ++i) {
      std::vector<float> copy = logits;
      drawn.push_back(sampler->choose(copy));
    }
    return drawn;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
  expectError(Sampler::create({-1, 1, 0}).status(), Code::InvalidArgument, "temperature -1");
  expectError(Sampler::create({1, 0, 0}).status(), Code::InvalidArgument, "top-p 0");
  expectError(Sampler::create({1, 1.5f, 0}).status(), Code::InvalidArgument, "top-p 1.5");
}

/// The most likely continuation, recomputed from the start for each token.
std::vector<int32_t> slowGreedy(const Model &model, const CpuContext &cpu, std::vector<int32_t> ids,
                                int count) {
  const size_t prompt = ids.size();
  const Result<OutputHead> head = model.loadHead();
  for (int i = 0; i < count; ++i) {
    Matrix x = *model.embed(ids, {int64_t(ids.size())});
    for (int64_t block = 0; block < model.config().blocks; ++block)
      EXPECT_TRUE(
          runBlock(cpu, model.config(), *model.loadBlock(block, 1), {int64_t(ids.size())}, x.ref())
              .ok());
    Matrix logits = head->logits(cpu, model.config(), x.ref().block(x.rows - 1, 0, 1, x.columns));
    ids.push_back(Sampler::create({})->choose(logits.values));
  }
  return {ids.begin() + int64_t(prompt), ids.end()};
}

TEST(Generate, GreedyIsTheMostLikelyContinuation) {
  const CpuContext cpu = {Blas::builtin(1), 1};
  for (const char *name : {"mistral-window", "opt"}) {
    const Result<Model> model = Model::open(dataFolder() / "tiny" / name);
    ASSERT_TRUE(model.ok());
    const std::vector<int32_t> prompt = {7, 8, 9};
    GenerateOptions options;
    options.maxTokens = 12;
    options.stopAtEnd = false;
    std::vector<int32_t> seen;
    const Result<Generated> result =
        generate(*model, prompt, options, cpuSequences(*model, cpu), [&](int32_t token) {
          seen.push_back(token);
          return true;
        });
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ(result->tokens, slowGreedy(*model, cpu, prompt, 12)) << name;
    EXPECT_EQ(seen, result->tokens);
    options.stopAtEnd = true; // the vocabulary has an end token; whatever comes before it is equal
    const Result<Generated> stopped =
        generate(*model, prompt, options, cpuSequences(*model, cpu), [](int32_t) { return false; });
    ASSERT_TRUE(stopped.ok());
    EXPECT_LE(stopped->tokens.size(), 1U);
  }
}

TEST(Generate, Errors) {
  const CpuContext cpu = {Blas::builtin(1), 1};
  const Result<Model> model = Model::open(dataFolder() / "tiny/opt");
  ASSERT_TRUE(model.ok());
  expectError(generate(*model, {}, {}, cpuSequences(*model, cpu)).status(), Code::InvalidArgument,
              "holds no tokens");
  const std::vector<int32_t> prompt = {1, 99};
  expectError(generate(*model, prompt, {}, cpuSequences(*model, cpu)).status(),
              Code::InvalidArgument, "token id 99 at position 1");
  const SequenceFactory unused = [](const SequencePlan &) -> Result<std::unique_ptr<Sequence>> {
    return makeError(Code::Internal, "loaded for a prompt that cannot be continued");
  };
  std::vector<int32_t> longOne(600, 1);
  longOne[555] = 99; // in its second piece
  const Result<Model> rotary = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(rotary.ok());
  expectError(generate(*rotary, longOne, {}, unused).status(), Code::InvalidArgument,
              "token id 99 at position 555");
}

TEST(Generate, OutputThatIsNotFinite) {
  const CpuContext cpu = {Blas::builtin(1), 1};
  fixtures::ModelFolder folder("llama");
  const std::vector<float> huge(64 * 32, 3e38f);
  const auto *bytes = reinterpret_cast<const uint8_t *>(huge.data());
  folder.plan["lm_head.weight"].type = ElementType::F32;
  folder.bytes["lm_head.weight"].assign(bytes, bytes + huge.size() * sizeof(float));
  const Result<Model> model = Model::open(folder.write());
  ASSERT_TRUE(model.ok()) << model.status().message();
  const std::vector<int32_t> prompt = {1, 2, 3};
  expectError(generate(*model, prompt, {}, cpuSequences(*model, cpu)).status(), Code::DataCorrupt,
              "output behind 3 tokens is not finite");
  expectError(perplexityOf(*model, {1, 3, prompt}, cpu).status(), Code::DataCorrupt,
              "perplexity is not finite");
}

TEST(Generate, EndsWithTheLearnedPositions) {
  const CpuContext cpu = {Blas::builtin(1), 1};
  const Result<Model> model = Model::open(dataFolder() / "tiny/opt");
  ASSERT_TRUE(model.ok());
  ASSERT_EQ(model->config().positions, 64);
  GenerateOptions options;
  options.stopAtEnd = false;
  std::vector<int32_t> prompt(60, 7);
  EXPECT_EQ(generate(*model, prompt, options, cpuSequences(*model, cpu))->tokens.size(), 5U);
  prompt.resize(65, 7);
  expectError(generate(*model, prompt, options, cpuSequences(*model, cpu)).status(),
              Code::InvalidArgument, "65 tokens: the model has learned 64 positions");
}

/// The bundled models at 8 bits say what they say unquantized, from the packed form.
TEST(Generate, WithQuantizedLayers) {
  const fixtures::TempFolder folder;
  const CpuContext cpu = CpuContext::create(2);
  const Result<TokenRows> all = loadTokenRows(dataFolder() / "tokens.safetensors", "eval_ids");
  for (const char *name : {"docs-llama-7m", "docs-opt-5m"}) {
    const std::filesystem::path source = dataFolder() / "models" / name;
    QuantizeOptions quantize;
    quantize.bits = 8;
    ASSERT_TRUE(quantizeModel(source, folder / name, quantize, nullptr).ok());
    const Result<Model> dense = Model::open(source), quantized = Model::open(folder / name);
    ASSERT_TRUE(dense.ok() && quantized.ok()) << quantized.status().message();
    EXPECT_FALSE(dense->quantized());
    EXPECT_TRUE(quantized->quantized());
    GenerateOptions options;
    options.maxTokens = 5;
    const std::vector<int32_t> prompt(all->ids.begin(), all->ids.begin() + 8);
    const Result<Generated> from = generate(*dense, prompt, options, cpuSequences(*dense, cpu));
    const Result<Generated> to =
        generate(*quantized, prompt, options, cpuSequences(*quantized, cpu));
    ASSERT_TRUE(from.ok() && to.ok());
    EXPECT_EQ(from->tokens, to->tokens) << name;
  }
}

} // namespace
} // namespace gptqc
