// Grouped layers: stacking, what experts may differ in, and their packed form.
#include "runtime/core/Experts.h"

#include <gtest/gtest.h>

#include "runtime/core/WeightLayout.h"

namespace gptqc {
namespace {

struct Options {
  bool asym = false, actOrder = false, bias = true;
  int64_t n = 24, groupSize = 32;
  int first = 0; ///< of the codes
};

QuantizedMatrix makeExpert(const Options &options) {
  LayerCodes layer;
  layer.n = options.n, layer.k = 96, layer.groupSize = options.groupSize;
  const int64_t groups = layer.k / layer.groupSize;
  std::vector<uint8_t> codes(size_t(layer.n * layer.k));
  std::vector<uint8_t> zeros(options.asym ? size_t(groups * layer.n) : 0, 3);
  std::vector<uint16_t> scales(size_t(groups * layer.n), uint16_t(0x2c00 + options.first));
  std::vector<uint16_t> bias(options.bias ? size_t(layer.n) : 0, uint16_t(options.first));
  std::vector<int32_t> groupIndex;
  for (size_t i = 0; i < codes.size(); ++i)
    codes[i] = uint8_t((i * 7 + size_t(options.first)) % 16);
  for (int64_t k = 0; options.actOrder && k < layer.k; ++k)
    groupIndex.push_back(int32_t(k % groups));
  layer.codes = codes, layer.zeros = zeros, layer.scales = scales, layer.bias = bias;
  layer.groupIndex = groupIndex;
  const auto matrix = layerFromCodes(layer);
  EXPECT_TRUE(matrix.ok()) << matrix.status().message();
  return *matrix;
}

TEST(Experts, StackAndTakeOut) {
  const std::vector<QuantizedMatrix> plain = {makeExpert({.first = 1}), makeExpert({.first = 2}),
                                              makeExpert({.first = 3})};
  const auto stack = stackExperts(plain);
  ASSERT_TRUE(stack.ok()) << stack.status().message();
  EXPECT_EQ(stack->descriptor.print(), "w4 g32 sym f16->f16 n24 k96 experts3 m1.. bias");
  for (size_t e = 0; e < plain.size(); ++e) {
    const QuantizedMatrix one = expertOf(*stack, int64_t(e));
    EXPECT_EQ(one.descriptor, plain[e].descriptor);
    EXPECT_EQ(one.codes, plain[e].codes);
    EXPECT_EQ(one.scales, plain[e].scales);
    EXPECT_EQ(one.bias, plain[e].bias);
  }
}

TEST(Experts, WhatOneNeedsAllHave) {
  const auto stack = stackExperts({makeExpert({}), makeExpert({.asym = true, .actOrder = true})});
  ASSERT_TRUE(stack.ok()) << stack.status().message();
  EXPECT_EQ(stack->descriptor.print(), "w4 g32 asym actorder f16->f16 n24 k96 experts2 m1.. bias");
  const QuantizedMatrix first = expertOf(*stack, 0);
  EXPECT_EQ(first.zeros, std::vector<uint8_t>(3 * 24, 8)) << "what symmetric means";
  EXPECT_EQ(first.groupOf(40), 1);
  EXPECT_EQ(expertOf(*stack, 1).groupOf(40), 40 % 3);
}

TEST(Experts, PackedOneBehindTheOther) {
  const std::vector<QuantizedMatrix> plain = {makeExpert({.actOrder = true, .first = 1}),
                                              makeExpert({.first = 2})};
  const auto stack = stackExperts(plain);
  ASSERT_TRUE(stack.ok());
  const PackedWeights packed = packWeights(*stack);
  const PackedWeights second = packWeights(expertOf(*stack, 1));
  const auto tail = [](const auto &all, size_t size) {
    return std::vector(all.end() - ptrdiff_t(size), all.end());
  };
  EXPECT_EQ(packed.weights.size(), 2 * second.weights.size());
  EXPECT_EQ(int64_t(second.weights.size()), packed.layout.weightBytes);
  EXPECT_EQ(tail(packed.weights, second.weights.size()), second.weights);
  EXPECT_EQ(tail(packed.scales, second.scales.size()), second.scales);
  EXPECT_EQ(packed.perm.size(), size_t(2 * packed.layout.paddedK)) << "the second's is its order";
  EXPECT_EQ(packed.perm[size_t(packed.layout.paddedK) + 5], 5);
  EXPECT_EQ(packed.perm, packedOrder(*stack).perm);
  EXPECT_TRUE(packWeights(*stackExperts({plain[1], plain[1]})).perm.empty());
}

TEST(Experts, RefusesExpertsThatDiffer) {
  const auto refused = [](const std::vector<QuantizedMatrix> &experts, std::string_view says) {
    const auto stack = stackExperts(experts);
    ASSERT_FALSE(stack.ok());
    EXPECT_EQ(stack.status().code(), Code::InvalidArgument);
    EXPECT_NE(stack.status().message().find(says), std::string::npos) << stack.status().message();
  };
  const QuantizedMatrix one = makeExpert({});
  refused({}, "there are 0");
  refused({one}, "there is 1");
  refused(std::vector<QuantizedMatrix>(kMaxExperts + 1, one), "2 to 512");
  refused({one, one, makeExpert({.n = 32})}, "experts 0 and 2");
  refused({one, makeExpert({.groupSize = 48})}, "experts 0 and 1");
  refused({one, makeExpert({.bias = false})}, "experts 0 and 1");
  const QuantizedMatrix stack = *stackExperts({one, one});
  refused({stack, stack}, "a grouped layer itself");
}

TEST(Experts, Offsets) {
  const Descriptor d = *Descriptor::parse("w4 g32 sym f16->f16 n24 k96 experts3 m1..");
  const std::vector<int32_t> good = {0, 0, 5, 7};
  EXPECT_TRUE(checkOffsets(d, good, 7).ok());
  EXPECT_TRUE(checkOffsets(d, good, 9).ok()) << "rows of no expert";
  for (const std::vector<int32_t> &bad :
       {std::vector<int32_t>{0, 5, 7}, {0, 5, 4, 7}, {-1, 0, 5, 7}, {0, 0, 5, 8}})
    EXPECT_EQ(checkOffsets(d, bad, 7).code(), Code::InvalidArgument);
}

} // namespace
} // namespace gptqc
