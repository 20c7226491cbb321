// Fused layers and slices against the layer that they are made from, value by value.
#include "runtime/dispatch/LayerParts.h"

#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "runtime/cpu/Executor.h"
#include "tests/runtime/dispatch/ExactLayer.h"

namespace gptqc {
namespace {

struct Shape {
  int bits = 4;
  int64_t n = 32, k = 256, groupSize = 64;
  bool sym = false, actOrder = false, bias = false;
  unsigned seed = 1, orderSeed = 1;
};

QuantizedMatrix makeLayer(const Shape &s) {
  std::mt19937 random(s.seed);
  LayerCodes layer;
  layer.bits = s.bits, layer.n = s.n, layer.k = s.k, layer.groupSize = s.groupSize;
  const int64_t size = s.groupSize < 0 ? s.k : s.groupSize, groups = (s.k + size - 1) / size;
  std::vector<uint8_t> zeros(size_t(s.sym ? 0 : groups * s.n));
  std::vector<uint16_t> scales(size_t(groups * s.n)), bias(size_t(s.bias ? s.n : 0));
  std::vector<int32_t> groupIndex;
  for (uint8_t &zero : zeros)
    zero = uint8_t(random() % (1u << s.bits));
  for (uint16_t &scale : scales)
    scale = uint16_t(0x2c00 + random() % 1000);
  for (uint16_t &value : bias)
    value = uint16_t(0x3c00 + random() % 1000);
  if (s.actOrder) {
    for (int64_t i = 0; i < s.k; ++i)
      groupIndex.push_back(int32_t(i / size));
    std::shuffle(groupIndex.begin(), groupIndex.end(), std::mt19937(s.orderSeed));
  }
  layer.zeros = zeros, layer.scales = scales, layer.bias = bias, layer.groupIndex = groupIndex;
  auto made = layerWithoutCodes(layer);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return *made;
}

/// Scale and zero of (input feature, output row): what a slice must keep.
std::pair<uint16_t, int> factsAt(const QuantizedMatrix &layer, int64_t k, int64_t row) {
  const int64_t g = layer.groupOf(k);
  return {layer.scales[size_t(g * layer.descriptor.n + row)], layer.zeroAt(g, row)};
}

std::string refusal(std::span<const QuantizedMatrix> parts, const LayerPlan &plan) {
  const auto shape = joinParts(parts, plan);
  EXPECT_FALSE(shape.ok());
  return shape.ok() ? "" : shape.status().message();
}

TEST(LayerPartsTest, FusedPartsFollowEachOther) {
  const std::vector<QuantizedMatrix> parts = {
      makeLayer({.n = 64, .actOrder = true, .seed = 1}),
      makeLayer({.n = 32, .sym = true, .actOrder = true, .bias = true, .seed = 2}),
      makeLayer({.n = 8, .actOrder = true, .seed = 3})};
  const auto shape = joinParts(parts, {});
  ASSERT_TRUE(shape.ok()) << shape.status().message();
  EXPECT_EQ(shape->facts.descriptor.print(), "w4 g64 asym actorder f16->f16 n104 k256 m1.. bias");
  EXPECT_TRUE(shape->columns.empty());
  for (int64_t k = 0; k < 256; k += 7) {
    EXPECT_EQ(factsAt(shape->facts, k, 5), factsAt(parts[0], k, 5));
    EXPECT_EQ(factsAt(shape->facts, k, 64 + 31), factsAt(parts[1], k, 31));
    EXPECT_EQ(factsAt(shape->facts, k, 96 + 7), factsAt(parts[2], k, 7));
  }
  EXPECT_EQ(shape->facts.bias[0], 0);
  EXPECT_EQ(shape->facts.bias[64 + 3], parts[1].bias[3]);
}

TEST(LayerPartsTest, GateAndUp) {
  const std::vector<QuantizedMatrix> parts = {makeLayer({.seed = 1}), makeLayer({.seed = 2})};
  const auto shape = joinParts(parts, {.siluMul = true});
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape->facts.descriptor.print(), "w4 g64 asym f16->f16 n64 k256 m1.. silu_mul");
  EXPECT_NE(refusal(std::span(parts).first(1), {.siluMul = true}).find("two parts"),
            std::string::npos);
  EXPECT_NE(refusal(parts, {.siluMul = true, .columns = {0, 2}}).find("partial sums"),
            std::string::npos);
}

TEST(LayerPartsTest, PartsThatDifferAreRefused) {
  const QuantizedMatrix base = makeLayer({.actOrder = true});
  for (const auto &[other, says] : std::vector<std::pair<Shape, std::string>>{
           {{.bits = 3, .actOrder = true}, "bits 4 and 3"},
           {{.k = 128, .actOrder = true}, "input features 256 and 128"},
           {{.groupSize = 32, .actOrder = true}, "group sizes 64 and 32"},
           {{.actOrder = true, .orderSeed = 2}, "g_idx differ"},
           {{}, "g_idx differ"}}) {
    const std::vector<QuantizedMatrix> parts = {base, makeLayer(other)};
    EXPECT_NE(refusal(parts, {}).find(says), std::string::npos) << refusal(parts, {});
  }
  EXPECT_FALSE(joinParts({}, {}).ok());
}

TEST(LayerPartsTest, RowSharesOfEachPart) {
  const std::vector<QuantizedMatrix> parts = {makeLayer({.n = 64, .bias = true, .seed = 1}),
                                              makeLayer({.n = 32, .seed = 2})};
  const auto shape = joinParts(parts, {.rows = {1, 2}});
  ASSERT_TRUE(shape.ok()) << shape.status().message();
  EXPECT_EQ(shape->facts.descriptor.n, 48);
  EXPECT_EQ(shape->rows[1].first, 16);
  EXPECT_EQ(factsAt(shape->facts, 100, 0), factsAt(parts[0], 100, 32));
  EXPECT_EQ(factsAt(shape->facts, 100, 32), factsAt(parts[1], 100, 16));
  EXPECT_EQ(shape->facts.bias[0], parts[0].bias[32]);
  EXPECT_NE(refusal(parts, {.rows = {0, 3}}).find("cannot be shared by 3"), std::string::npos);
  EXPECT_NE(refusal(parts, {.rows = {2, 2}}).find("count from 0"), std::string::npos);
}

TEST(LayerPartsTest, ColumnSharesCoverTheLayer) {
  for (const bool actOrder : {false, true})
    for (const int64_t ranks : {2, 4, 8, 16}) {
      const QuantizedMatrix layer = makeLayer({.actOrder = actOrder, .bias = true});
      std::vector<int> seen(256);
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const auto shape =
            joinParts({&layer, 1}, {.columns = {rank, ranks}, .xIsPermuted = actOrder});
        ASSERT_TRUE(shape.ok()) << shape.status().message();
        const Descriptor &d = shape->facts.descriptor;
        EXPECT_EQ(d.k, 256 / ranks);
        EXPECT_FALSE(d.actOrder) << d.print();
        for (int64_t k = 0; k < d.k; ++k) {
          const int32_t source = shape->columns[size_t(k)];
          ++seen[size_t(source)];
          EXPECT_EQ(factsAt(shape->facts, k, 9), factsAt(layer, source, 9));
        }
        EXPECT_EQ(shape->facts.bias[4], rank == 0 ? layer.bias[4] : 0);
      }
      EXPECT_EQ(seen, std::vector<int>(256, 1));
    }
}

TEST(LayerPartsTest, APermutedXNeedsNoActOrderKernel) {
  const QuantizedMatrix layer = makeLayer({.actOrder = true});
  const auto shape = joinParts({&layer, 1}, {.xIsPermuted = true});
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape->facts.descriptor.print(), "w4 g64 asym f16->f16 n32 k256 m1..");
  std::vector<int32_t> sorted = shape->columns;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int32_t> all(256);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(sorted, all);
  const QuantizedMatrix plain = makeLayer({});
  EXPECT_TRUE(joinParts({&plain, 1}, {.xIsPermuted = true})->columns.empty());
}

/// What a rank runs: its share of the codes, packed.
PackedWeights packShare(const QuantizedMatrix &layer, const LayerShape &shape) {
  QuantizedMatrix share = shape.facts;
  for (int64_t k = 0; k < share.descriptor.k; ++k) {
    const int64_t source = shape.columns.empty() ? k : shape.columns[size_t(k)];
    const auto row = layer.codes.begin() + source * layer.descriptor.n + shape.rows[0].first;
    share.codes.insert(share.codes.end(), row, row + shape.rows[0].count);
  }
  return packWeights(share);
}

/// [m, outputs] for x [m, all input features].
std::vector<double> runShare(const QuantizedMatrix &layer, const LayerShape &shape, int64_t m,
                             const std::vector<uint16_t> &x) {
  const PackedWeights packed = packShare(layer, shape);
  const auto executor = Executor::create(packed);
  EXPECT_TRUE(executor.ok()) << executor.status().message();
  std::vector<uint16_t> y(size_t(m * shape.facts.descriptor.n));
  const std::vector<uint16_t> own =
      shape.columns.empty() ? x : gatherColumns(x, layer.descriptor.k, shape.columns);
  EXPECT_TRUE(
      executor->run(own.data(), shape.facts.descriptor.k, m, y.data(), shape.facts.descriptor.n)
          .ok());
  return numbersOf(y);
}

TEST(LayerPartsTest, SharesRunAsTheLayerExactly) {
  constexpr int64_t kTokens = 3;
  for (const ExactSpec &spec : {ExactSpec{.sym = true}, ExactSpec{.actOrder = true, .bias = true},
                                ExactSpec{.bits = 3, .groupSize = 128, .actOrder = true},
                                ExactSpec{.bits = 8, .k = 768, .groupSize = 32, .bias = true}}) {
    const QuantizedMatrix layer = exactLayer(spec);
    const std::vector<uint16_t> x = exactInputs(kTokens, spec.k, 3);
    const std::vector<double> want = exactOutputs(layer, numbersOf(x));
    for (const int64_t ranks : {1, 2, 4}) {
      const int64_t part = spec.n / ranks;
      std::vector<double> sum(want.size());
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const auto rows = joinParts({&layer, 1}, {.rows = {rank, ranks}});
        ASSERT_TRUE(rows.ok()) << rows.status().message();
        const std::vector<double> own = runShare(layer, *rows, kTokens, x);
        for (int64_t i = 0; i < kTokens * part; ++i)
          EXPECT_EQ(own[size_t(i)], want[size_t(i / part * spec.n + rank * part + i % part)]);
        const auto columns =
            joinParts({&layer, 1}, {.columns = {rank, ranks}, .xIsPermuted = true});
        ASSERT_TRUE(columns.ok()) << columns.status().message();
        const std::vector<double> partial = runShare(layer, *columns, kTokens, x);
        for (size_t i = 0; i < sum.size(); ++i)
          sum[i] += partial[i];
      }
      EXPECT_EQ(sum, want) << layer.descriptor.print() << " in " << ranks << " shares of K";
    }
  }
}

TEST(LayerPartsTest, CutsThatCannotBe) {
  const QuantizedMatrix actOrder = makeLayer({.actOrder = true});
  EXPECT_NE(refusal({&actOrder, 1}, {.columns = {0, 2}}).find("x_is_permuted"), std::string::npos);
  const QuantizedMatrix odd = makeLayer({.k = 96, .groupSize = 32});
  EXPECT_NE(refusal({&odd, 1}, {.columns = {0, 2}}).find("cut a group"), std::string::npos);
  const QuantizedMatrix shortLast = makeLayer({.k = 200, .groupSize = 64, .actOrder = true});
  EXPECT_NE(refusal({&shortLast, 1}, {.columns = {0, 2}, .xIsPermuted = true}).find("cut a group"),
            std::string::npos);
}

} // namespace
} // namespace gptqc
