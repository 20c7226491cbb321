// The executor against the reference on a pairwise cover of descriptors, and its promises about
// NaN, strides, threads and bad arguments.
#include "runtime/cpu/Executor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/cpu/Compare.h"
#include "runtime/cpu/Synthetic.h"
#include "tests/support/Cases.h"

using namespace gptqc;

namespace {

constexpr uint64_t kSeed = 11;

std::vector<uint16_t> runExecutor(const PackedWeights &packed, const std::vector<uint16_t> &x,
                                  int64_t m, int threads) {
  const Descriptor &d = packed.descriptor;
  std::vector<uint16_t> y(size_t(m * d.outputColumns()), kPoison);
  const Result<Executor> executor = Executor::create(packed);
  EXPECT_TRUE(executor.ok()) << executor.status().message();
  const Status status = executor->run(x.data(), d.k, m, y.data(), d.outputColumns(), threads);
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

void check(const Descriptor &descriptor, Inputs inputs, int64_t m) {
  SCOPED_TRACE(fmt::format("gptqc verify --descriptor '{}' --seed {} ({} m {})", descriptor.print(),
                           kSeed, inputsName(inputs), m));
  const Result<QuantizedMatrix> matrix = syntheticLayer(descriptor, kSeed, 2);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  const PackedWeights packed = packWeights(*matrix);
  const std::vector<uint16_t> x =
      syntheticActivations(inputs, m, descriptor.k, descriptor.act, kSeed, 1);
  const std::vector<uint16_t> y = runExecutor(packed, x, m, 2);
  const Reference reference = referenceLinear(*matrix, x.data(), descriptor.k, m, 2);
  const Comparison result =
      compareOutput(descriptor, reference, y.data(), descriptor.outputColumns(), 1);
  EXPECT_TRUE(result.passed()) << result.explain();
}

} // namespace

TEST(Executor, MatchesTheReferenceOnThePairwiseCover) {
  const std::vector<Descriptor> cases = gptqc::fixtures::smallCases();
  EXPECT_GE(cases.size(), 40u);
  constexpr int64_t kTokens[] = {1, 2, 5, 7, 33};
  for (size_t i = 0; i < cases.size(); ++i)
    check(cases[i], kAllInputs[i % 3], kTokens[i % 5]);
}

TEST(Executor, KeepsNanAndInfinityInTheirRows) {
  const std::vector<Descriptor> cases = gptqc::fixtures::smallCases();
  for (size_t i = 0; i < cases.size(); i += 3)
    check(cases[i], Inputs::NonFinite, 6);
}

TEST(Executor, HandlesSizesOfOneAndMoreRowsThanABlock) {
  check(*Descriptor::parse("w3 g-1 asym f16->f16 n1 k1 m1.. bias"), Inputs::Shifted, 3);
  check(*Descriptor::parse("w8 g-1 sym f16->f16 n2 k1 m1.. silu_mul"), Inputs::Shifted, 40);
  check(*Descriptor::parse("w5 g32 sym f16->bf16 n70 k96 m1.."), Inputs::Normal, 300);
}

TEST(Executor, ResultsDoNotDependOnThreadsOrM) {
  const Descriptor d = *Descriptor::parse("w6 g64 asym actorder f16->f16 n150 k320 m1..");
  const QuantizedMatrix matrix = *syntheticLayer(d, kSeed, 2);
  const PackedWeights packed = packWeights(matrix);
  const std::vector<uint16_t> x = syntheticActivations(Inputs::Normal, 9, d.k, d.act, kSeed, 1);
  const std::vector<uint16_t> y = runExecutor(packed, x, 9, 1);
  EXPECT_EQ(y, runExecutor(packed, x, 9, 7));
  for (int64_t row = 0; row < 9; ++row) {
    const std::vector<uint16_t> one(x.begin() + row * d.k, x.begin() + (row + 1) * d.k);
    const std::vector<uint16_t> rowOfY(y.begin() + row * d.n, y.begin() + (row + 1) * d.n);
    EXPECT_EQ(runExecutor(packed, one, 1, 3), rowOfY);
  }
}

TEST(Executor, WritesOnlyItsColumnsOfAStridedOutput) {
  const Descriptor d = *Descriptor::parse("w4 g32 sym f16->f16 n20 k64 m1..");
  const PackedWeights packed = packWeights(*syntheticLayer(d, kSeed, 2));
  std::vector<uint16_t> x = syntheticActivations(Inputs::Normal, 4, 70, d.act, kSeed, 1);
  for (int64_t row = 0; row < 4; ++row) // what lies beyond K must not be read as a number
    std::fill_n(x.begin() + row * 70 + 64, 6, floatToHalf(NAN));
  std::vector<uint16_t> y(4 * 25, kPoison);
  ASSERT_TRUE(Executor::create(packed)->run(x.data(), 70, 4, y.data(), 25, 2).ok());
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t c = 0; c < 25; ++c)
      EXPECT_EQ(std::isnan(halfToFloat(y[size_t(row * 25 + c)])), c >= 20);
}

TEST(Executor, ZeroTokensIsASuccessfulNoOp) {
  const PackedWeights packed =
      packWeights(*syntheticLayer(*Descriptor::parse("w4 g-1 sym f16->f16 n8 k16 m1.."), 1));
  EXPECT_TRUE(Executor::create(packed)->run(nullptr, 0, 0, nullptr, 0).ok());
}

TEST(Executor, RefusesBadArguments) {
  PackedWeights packed =
      packWeights(*syntheticLayer(*Descriptor::parse("w4 g-1 sym f16->f16 n8 k16 m1.."), 1));
  const Result<Executor> executor = Executor::create(packed);
  std::vector<uint16_t> x(64), y(64);
  EXPECT_EQ(executor->run(x.data(), 15, 1, y.data(), 8).code(), Code::InvalidArgument);
  EXPECT_EQ(executor->run(x.data(), 16, 1, y.data(), 7).code(), Code::InvalidArgument);
  EXPECT_EQ(executor->run(nullptr, 16, 1, y.data(), 8).code(), Code::InvalidArgument);
  EXPECT_EQ(executor->run(x.data(), 16, -1, y.data(), 8).code(), Code::InvalidArgument);
  packed.scales.pop_back();
  EXPECT_EQ(Executor::create(packed).status().code(), Code::InvalidArgument);
  packed.scales.push_back(0);
  packed.perm.assign(size_t(packed.layout.paddedK), 16);
  EXPECT_EQ(Executor::create(packed).status().code(), Code::InvalidArgument);
}

TEST(Executor, ExpertsTakeTheirRows) {
  for (const char *text :
       {"w4 g32 sym f16->f16 n24 k96 experts5 m1..",
        "w3 g48 asym actorder f16->bf16 n40 k130 experts3 m1.. bias",
        "w5 g32 sym actorder ragged bf16->f16 n24 k100 experts2 m1.. silu_mul"}) {
    const Descriptor d = *Descriptor::parse(text);
    const auto matrix = syntheticLayer(d, kSeed, 2);
    ASSERT_TRUE(matrix.ok()) << matrix.status().message();
    const PackedWeights packed = packWeights(*matrix);
    const auto experts = Executor::createAll(packed);
    ASSERT_TRUE(experts.ok()) << experts.status().message();
    for (const Routing routing : kAllRoutings) {
      SCOPED_TRACE(fmt::format("{} routing {}", text, int(routing)));
      const int64_t m = 11;
      const std::vector<int32_t> offsets = syntheticOffsets(routing, d.experts, m, kSeed);
      const auto x = syntheticActivations(Inputs::NonFinite, m, d.k, d.act, kSeed, 1);
      std::vector<uint16_t> y(size_t(m * d.outputColumns()), kPoison);
      const Status status =
          runExperts(*experts, offsets, x.data(), d.k, m, y.data(), d.outputColumns(), 2);
      ASSERT_TRUE(status.ok()) << status.message();
      const Comparison result = compareOutput(
          d, referenceExperts(*matrix, offsets, x.data(), d.k, 2), y.data(), d.outputColumns(), 1);
      EXPECT_TRUE(result.passed()) << result.explain();
    }
    std::vector<int32_t> partly = syntheticOffsets(Routing::One, d.experts, 2, kSeed);
    for (int32_t &offset : partly)
      ++offset; // rows 1 and 2 of 4
    const auto x = syntheticActivations(Inputs::Normal, 4, d.k, d.act, kSeed, 1);
    std::vector<uint16_t> y(size_t(4 * d.outputColumns()), kPoison);
    ASSERT_TRUE(runExperts(*experts, partly, x.data(), d.k, 4, y.data(), d.outputColumns()).ok());
    EXPECT_EQ(y.front(), kPoison) << "a row of no expert";
    EXPECT_EQ(y.back(), kPoison);
    EXPECT_NE(y[size_t(d.outputColumns())], kPoison);
    EXPECT_FALSE(runExperts(*experts, partly, x.data(), d.k, 2, y.data(), d.outputColumns()).ok());
  }
}
