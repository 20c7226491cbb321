// Perplexities of the bundled models against those of transformers in fp32.
#include "runtime/model/Perplexity.h"

#include <cmath>

#include "runtime/model/BlockSource.h"
#include "tests/runtime/model/ModelFolder.h"

namespace gptqc {
namespace {

using fixtures::dataFolder;
using fixtures::expectError;

TokenRows evaluationRows(int64_t rows, int64_t length) {
  const Result<TokenRows> all = loadTokenRows(dataFolder() / "tokens.safetensors", "eval_ids");
  EXPECT_TRUE(all.ok()) << all.status().message();
  return *firstRows(*all, rows, length);
}

TEST(Perplexity, OfTheBundledModels) {
  const TokenRows rows = evaluationRows(4, 96);
  const CpuContext cpu = CpuContext::create(2);
  for (const auto &[name, expected] :
       {std::pair("docs-llama-7m", 18.032114), std::pair("docs-opt-5m", 19.450117)}) {
    const Result<Model> model = Model::open(dataFolder() / "models" / name);
    ASSERT_TRUE(model.ok()) << model.status().message();
    const Result<Perplexity> result = perplexityOf(*model, rows, cpu);
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_NEAR(result->value, expected, expected * 1e-5) << name;
    EXPECT_EQ(result->predictions, 4 * 95);
  }
}

TEST(Perplexity, DoesNotDependOnTheParts) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/qwen3");
  ASSERT_TRUE(model.ok());
  TokenRows rows = {5, 7, {}};
  for (int32_t i = 0; i < 35; ++i)
    rows.ids.push_back(i * 11 % 64);
  const CpuContext cpu = {Blas::builtin(1), 1};
  int64_t calls = 0, total = 0;
  const auto progress = [&](int64_t done, int64_t all) {
    EXPECT_EQ(done, ++calls);
    total = all;
  };
  const Result<Perplexity> whole = perplexityOf(*model, rows, cpu);
  const Result<Perplexity> parts = perplexityOf(*model, rows, cpu, progress, 2 * 7 * 32 * 4);
  ASSERT_TRUE(whole.ok() && parts.ok());
  EXPECT_NEAR(whole->value, parts->value, whole->value * 1e-6);
  EXPECT_EQ(calls, 3 * 2); // parts of two rows, two blocks
  EXPECT_EQ(total, calls);
}

TEST(Perplexity, Errors) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(model.ok());
  const CpuContext cpu = {Blas::builtin(1), 1};
  expectError(perplexityOf(*model, {2, 1, {1, 2}}, cpu).status(), Code::InvalidArgument,
              "2 rows of 1 tokens hold no predictions");
  expectError(perplexityOf(*model, {1, 2, {1, 2000}}, cpu).status(), Code::InvalidArgument,
              "token id 2000 at position 1");
}

TEST(BlockSource, KeepsBlocksThatFit) {
  const Result<Model> model = Model::open(dataFolder() / "tiny/llama");
  ASSERT_TRUE(model.ok());
  const int64_t all = model->blockBytes() * 2;
  BlockSource kept(*model, 1, WeightForm::Dense, all), read(*model, 1, WeightForm::Dense, all - 1);
  EXPECT_TRUE(kept.keepsAll());
  EXPECT_FALSE(read.keepsAll());
  const Block *first = *kept.get(0);
  EXPECT_NE(*kept.get(1), first);
  EXPECT_EQ(*kept.get(0), first);
  EXPECT_EQ(first->index, 0);
  const std::vector<float> weights = (*read.get(0))->at(Role::Up).weight.values;
  EXPECT_EQ((*read.get(1))->index, 1);
  EXPECT_EQ((*read.get(0))->at(Role::Up).weight.values, weights);
  EXPECT_EQ(first->at(Role::Up).weight.values, weights);
}

} // namespace
} // namespace gptqc
