// Synthetic layers: the descriptor asked for, reproducible, and not trivial.
#include "runtime/cpu/Synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "runtime/core/Experts.h"
#include "runtime/core/Float16.h"
#include "runtime/cpu/Random.h"

using namespace gptqc;

namespace {

QuantizedMatrix make(const char *text, uint64_t seed = 1, int threads = 2) {
  Result<QuantizedMatrix> matrix = syntheticLayer(*Descriptor::parse(text), seed, threads);
  EXPECT_TRUE(matrix.ok()) << matrix.status().message();
  return matrix ? *matrix : QuantizedMatrix();
}

} // namespace

TEST(Synthetic, GivesTheDescriptorAskedFor) {
  for (const char *text :
       {"w2 g32 sym f16->f16 n48 k100 m1..16", "w3 g-1 asym f16->bf16 n1 k7 m1..",
        "w5 g32 asym actorder bf16->bf16 scales:bf16 n40 k96 m2..2 bias",
        "w8 g16 sym actorder ragged f16->f16 n32 k100 m1.. silu_mul",
        "w7 g64 sym f16->f16 n64 k128 m1..4 batch_invariant"})
    EXPECT_EQ(make(text).descriptor.print(), text);
}

TEST(Synthetic, IsReproducibleOnAnyNumberOfThreads) {
  const char *text = "w4 g64 asym actorder f16->f16 n4099 k256 m1.. bias";
  const QuantizedMatrix a = make(text, 7, 1), b = make(text, 7, 5), c = make(text, 8, 1);
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.zeros, b.zeros);
  EXPECT_EQ(a.groupIndex, b.groupIndex);
  EXPECT_EQ(a.bias, b.bias);
  EXPECT_NE(a.codes, c.codes);
  EXPECT_NE(a.groupIndex, c.groupIndex);
}

TEST(Synthetic, UsesEveryCode) {
  for (int bits = 2; bits <= 8; ++bits) {
    const QuantizedMatrix matrix =
        make(fmt::format("w{} g-1 sym f16->f16 n128 k128 m1..", bits).c_str());
    const std::set<uint8_t> codes(matrix.codes.begin(), matrix.codes.end());
    EXPECT_EQ(codes.size(), size_t(1) << bits);
    EXPECT_EQ(*codes.rbegin(), (1 << bits) - 1);
  }
}

TEST(Synthetic, RaggedGroupsDifferAndNoneIsEmpty) {
  const QuantizedMatrix matrix = make("w4 g8 sym actorder ragged f16->f16 n16 k200 m1..");
  std::vector<int64_t> lengths(static_cast<size_t>(matrix.groups));
  for (int32_t group : matrix.groupIndex)
    ++lengths[size_t(group)];
  EXPECT_GE(*std::min_element(lengths.begin(), lengths.end()), 1);
  EXPECT_NE(lengths.front(), 8);
}

TEST(Synthetic, RefusesDescriptorsThatNoLayerHas) {
  for (const char *text :
       {"w4 g-1 sym actorder f16->f16 n16 k64 m1..", "w4 g16 sym ragged f16->f16 n16 k64 m1..",
        "w4 g1 sym actorder ragged f16->f16 n16 k64 m1.."}) {
    const Result<QuantizedMatrix> matrix = syntheticLayer(*Descriptor::parse(text), 1);
    ASSERT_FALSE(matrix.ok()) << text;
    EXPECT_NE(matrix.status().message().find(text), std::string::npos);
  }
}

TEST(Synthetic, ActivationsHaveTheirDistribution) {
  const int64_t m = 64, k = 512;
  const auto moments = [&](Inputs inputs) {
    double sum = 0, squares = 0;
    for (uint16_t bits : syntheticActivations(inputs, m, k, DType::F16, 3, 2)) {
      sum += halfToFloat(bits);
      squares += double(halfToFloat(bits)) * halfToFloat(bits);
    }
    return std::pair(sum / double(m * k), squares / double(m * k));
  };
  EXPECT_NEAR(moments(Inputs::Normal).first, 0, 0.03);
  EXPECT_NEAR(moments(Inputs::Normal).second, 1, 0.03);
  EXPECT_NEAR(moments(Inputs::Shifted).first, 3, 0.03);
  EXPECT_GT(moments(Inputs::Outlier).second, 10); // 1 + 10^4 / 512
}

TEST(Synthetic, NonFiniteInputsTouchTwoRows) {
  const std::vector<uint16_t> x = syntheticActivations(Inputs::NonFinite, 5, 40, DType::BF16, 3, 1);
  for (int64_t row = 0; row < 5; ++row) {
    int nans = 0, infinities = 0;
    for (int64_t c = 0; c < 40; ++c) {
      nans += std::isnan(bfloatToFloat(x[size_t(row * 40 + c)]));
      infinities += std::isinf(bfloatToFloat(x[size_t(row * 40 + c)]));
    }
    EXPECT_EQ(nans, row == 2);
    EXPECT_EQ(infinities, row == 3);
  }
}

TEST(Synthetic, RoutingsSpreadAllRows) {
  for (const Routing routing : kAllRoutings) {
    const std::vector<int32_t> offsets = syntheticOffsets(routing, 16, 1000, 5);
    ASSERT_EQ(offsets.size(), 17u);
    EXPECT_EQ(offsets.front(), 0);
    EXPECT_EQ(offsets.back(), 1000);
    int64_t empty = 0;
    for (size_t e = 0; e < 16; ++e) {
      ASSERT_LE(offsets[e], offsets[e + 1]);
      empty += offsets[e] == offsets[e + 1];
    }
    EXPECT_EQ(empty, routing == Routing::Uniform ? 0 : routing == Routing::Skewed ? 4 : 15);
  }
  for (uint64_t seed = 0; seed < 50; ++seed) { // two rows of a token go to two experts
    const std::vector<int32_t> offsets = syntheticOffsets(Routing::Uniform, 8, 2, seed);
    for (size_t e = 0; e < 8; ++e)
      EXPECT_LE(offsets[e + 1] - offsets[e], 1);
  }
}

TEST(Synthetic, ExpertsDiffer) {
  const auto matrix =
      syntheticLayer(*Descriptor::parse("w4 g32 asym f16->f16 n24 k96 experts3 m1.. bias"), 7);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_NE(expertOf(*matrix, 0).codes, expertOf(*matrix, 1).codes);
  EXPECT_NE(expertOf(*matrix, 1).scales, expertOf(*matrix, 2).scales);
  EXPECT_NE(expertOf(*matrix, 0).bias, expertOf(*matrix, 2).bias);
}

TEST(Random, MatchesThePublishedGenerator) {
  // xoshiro256** from the state that SplitMix64 gives for seed 0: {e220a839..., 6e789e6a..., ...}.
  EXPECT_EQ(mixSeed(0, 0), 0xe220a8397b1dcdafu);
  EXPECT_EQ(mixSeed(0, 1), 0x6e789e6aa1b965f4u);
  Random random(0);
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
}
