// layerFromCodes: what it refuses, and which canonical layer it makes of the rest.
#include "runtime/core/QuantizedMatrix.h"

#include <gtest/gtest.h>

namespace gptqc {
namespace {

/// Owns what a LayerCodes borrows.
struct Layer {
  int bits = 4;
  int64_t n = 3, k = 8, groupSize = 4;
  std::vector<uint8_t> codes = std::vector<uint8_t>(24, 5);
  std::vector<uint8_t> zeros = std::vector<uint8_t>(6, 7);
  std::vector<uint16_t> scales = {1, 2, 3, 4, 5, 6};
  std::vector<int32_t> groupIndex;
  std::vector<uint16_t> bias;
  bool siluMul = false;

  Result<QuantizedMatrix> make() const {
    return layerFromCodes({.bits = bits,
                           .n = n,
                           .k = k,
                           .groupSize = groupSize,
                           .codes = codes,
                           .zeros = zeros,
                           .scales = scales,
                           .groupIndex = groupIndex,
                           .bias = bias,
                           .siluMul = siluMul});
  }

  std::string error() const {
    const Result<QuantizedMatrix> made = make();
    return made.ok() ? "accepted" : made.status().message();
  }
};

TEST(LayerFromCodes, CopiesAPlainLayer) {
  Layer layer;
  layer.bias = {9, 9, 9};
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_EQ(matrix->descriptor.print(), "w4 g4 asym f16->f16 n3 k8 m1.. bias");
  EXPECT_EQ(matrix->groups, 2);
  EXPECT_EQ(matrix->codes, layer.codes);
  EXPECT_EQ(matrix->zeros, layer.zeros);
  EXPECT_EQ(matrix->scales, layer.scales);
  EXPECT_EQ(matrix->bias, layer.bias);
  EXPECT_TRUE(matrix->groupIndex.empty());
  EXPECT_EQ(matrix->groupOf(3), 0);
  EXPECT_EQ(matrix->groupOf(4), 1);
  EXPECT_EQ(matrix->zeroAt(1, 2), 7);
}

TEST(LayerFromCodes, CentredZerosAreSymmetric) {
  Layer layer;
  layer.zeros.assign(6, 8);
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_TRUE(matrix->descriptor.sym);
  EXPECT_TRUE(matrix->zeros.empty());
  EXPECT_EQ(matrix->zeroAt(1, 1), 8);
  layer.zeros.clear();
  EXPECT_TRUE(layer.make()->descriptor.sym);
}

TEST(LayerFromCodes, SequentialGroupIndexIsDropped) {
  Layer layer;
  layer.groupIndex = {0, 0, 0, 0, 1, 1, 1, 1};
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_FALSE(matrix->descriptor.actOrder);
  EXPECT_TRUE(matrix->groupIndex.empty());
}

TEST(LayerFromCodes, PermutedGroupIndexIsActOrder) {
  Layer layer;
  layer.groupIndex = {1, 0, 0, 1, 1, 0, 1, 0};
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_TRUE(matrix->descriptor.actOrder);
  EXPECT_FALSE(matrix->descriptor.ragged);
  EXPECT_EQ(matrix->groupIndex, layer.groupIndex);
  EXPECT_EQ(matrix->groupOf(0), 1);
}

TEST(LayerFromCodes, UnequalGroupLengthsAreRagged) {
  Layer layer;
  layer.groupIndex = {0, 0, 0, 0, 0, 1, 1, 1};
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_TRUE(matrix->descriptor.actOrder);
  EXPECT_TRUE(matrix->descriptor.ragged);
  EXPECT_TRUE(matrix->descriptor.validate().ok());
}

TEST(LayerFromCodes, MoreGroupsThanTheSizeGivesAreRagged) {
  Layer layer;
  layer.groupSize = -1;
  layer.groupIndex = {1, 0, 0, 1, 1, 0, 1, 0};
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_TRUE(matrix->descriptor.ragged);
  EXPECT_NE(matrix->descriptor.groupSize, -1);
  EXPECT_TRUE(matrix->descriptor.validate().ok());
}

TEST(LayerFromCodes, GroupSizeOfAllOfKIsCanonical) {
  Layer layer;
  layer.groupSize = 4096;
  layer.zeros.resize(3);
  layer.scales.resize(3);
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_EQ(matrix->descriptor.groupSize, -1);
}

TEST(LayerFromCodes, AShortLastGroupIsPlain) {
  Layer layer;
  layer.groupSize = 5;
  const Result<QuantizedMatrix> matrix = layer.make();
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_FALSE(matrix->descriptor.ragged);
  EXPECT_EQ(matrix->groupOf(7), 1);
}

TEST(LayerFromCodes, RefusesWithReason) {
  const auto errorOf = [](auto damage) {
    Layer layer;
    damage(layer);
    return layer.error();
  };
  const auto expect = [&](std::string_view fragment, auto damage) {
    const std::string message = errorOf(damage);
    EXPECT_NE(message.find(fragment), std::string::npos) << fragment << "\n  says: " << message;
  };
  expect("bits must be 2 to 8", [](Layer &l) { l.bits = 9; });
  expect("n and k must be", [](Layer &l) { l.n = 0; });
  expect("the group size must be positive", [](Layer &l) { l.groupSize = 0; });
  expect("silu_mul needs an even n", [](Layer &l) { l.siluMul = true; });
  expect("codes holds 23 values, [K,N] needs 24", [](Layer &l) { l.codes.pop_back(); });
  expect("zeros holds 5 values, [G,N] needs 6", [](Layer &l) { l.zeros.pop_back(); });
  expect("scales holds 5 values", [](Layer &l) { l.scales.pop_back(); });
  expect("scales holds 0 values", [](Layer &l) { l.scales.clear(); });
  expect("1 groups of scales, K = 8 with group size 4 needs 2", [](Layer &l) {
    l.scales.resize(3);
    l.zeros.resize(3);
  });
  expect("bias holds 2 values, [N] needs 3", [](Layer &l) { l.bias = {1, 2}; });
  expect("groupIndex holds 2 values, [K] needs 8", [](Layer &l) { l.groupIndex = {0, 1}; });
  expect("groupIndex[7] = 2 is outside 0..1",
         [](Layer &l) { l.groupIndex = {0, 0, 0, 0, 1, 1, 1, 2}; });
  expect("groupIndex[0] = -1 is outside 0..1",
         [](Layer &l) { l.groupIndex = {-1, 0, 0, 0, 1, 1, 1, 1}; });
  expect("a code is above 15", [](Layer &l) { l.codes[3] = 16; });
  expect("a zero point is above 15", [](Layer &l) { l.zeros[3] = 16; });
}

} // namespace
} // namespace gptqc
