// The reference against results worked out by hand, and its silu_mul spread against perturbed
// inputs.
#include "runtime/cpu/Reference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/core/Float16.h"
#include "runtime/cpu/Compare.h"
#include "runtime/cpu/Random.h"

using namespace gptqc;

namespace {

uint16_t half(float value) { return floatToHalf(value); }

/// K = 3, N = 2, groups of 2 columns, asymmetric: W = [[1, -2], [0, 4], [3, -0.5]].
QuantizedMatrix handMade() {
  QuantizedMatrix matrix;
  matrix.descriptor = *Descriptor::parse("w4 g2 asym f16->f16 n2 k3 m1..");
  matrix.groups = 2;
  matrix.codes = {4, 1, 3, 7, 8, 5};
  matrix.zeros = {3, 3, 2, 6};
  matrix.scales = {half(1.0f), half(1.0f), half(0.5f), half(0.5f)};
  return matrix;
}

} // namespace

TEST(Reference, MatchesAHandComputedLayer) {
  const std::vector<uint16_t> x = {half(2), half(0.5f), half(-1), 0, half(1), 0, half(2), 0};
  const Reference reference = referenceLinear(handMade(), x.data(), 4, 2, 1);
  ASSERT_EQ(reference.rows, 2);
  ASSERT_EQ(reference.columns, 2);
  EXPECT_EQ(reference.y, (std::vector<double>{-1, -1.5, 7, -3}));
  EXPECT_DOUBLE_EQ(reference.spread[0], std::sqrt(4.0 + 0.0 + 9.0));
  EXPECT_DOUBLE_EQ(reference.spread[1], std::sqrt(16.0 + 4.0 + 0.25));
  EXPECT_DOUBLE_EQ(reference.spread[3], std::sqrt(4.0 + 0.0 + 1.0));
}

TEST(Reference, FollowsTheGroupTableAndAddsTheBias) {
  QuantizedMatrix matrix = handMade();
  matrix.groupIndex = {1, 0, 0};
  matrix.bias = {half(10), half(-10)};
  // W = [[(4-2)/2, (1-6)/2], [0, 4], [5, 2]]
  const std::vector<uint16_t> x = {half(1), half(1), half(1)};
  EXPECT_EQ(referenceLinear(matrix, x.data(), 3, 1, 2).y, (std::vector<double>{16, -6.5}));
}

TEST(Reference, SiluMulIsGateTimesUp) {
  QuantizedMatrix matrix = handMade();
  matrix.descriptor.siluMul = true;
  const std::vector<uint16_t> x = {half(1), half(0), half(1)};
  const Reference reference = referenceLinear(matrix, x.data(), 3, 1, 1);
  ASSERT_EQ(reference.columns, 1);
  EXPECT_DOUBLE_EQ(reference.y[0], 4 / (1 + std::exp(-4.0)) * -2.5);
}

TEST(Reference, SiluMulSpreadCoversErrorsOfGateAndUp) {
  const Descriptor d = *Descriptor::parse("w4 g-1 sym f16->f16 n2 k16 m1.. silu_mul");
  const auto silu = [](double v) { return v / (1 + std::exp(-v)); };
  Random random(5);
  const double unit = 8 * unitRoundoff(DType::F16);
  double largest = 0;
  for (int i = 0; i < 20000; ++i) {
    const double gate = 20 * random.uniform() - 10, up = 8 * random.normal();
    const double sg = 30 * random.uniform(), su = 30 * random.uniform();
    const Reference r = finishReference(d, 1, {gate, up}, {sg * sg, su * su}, 1);
    const double signGate = random.below(2) ? 1 : -1, signUp = random.below(2) ? 1 : -1;
    const double moved = silu(gate + signGate * unit * sg) * (up + signUp * unit * su);
    const double ratio = std::abs(moved - r.y[0]) / (unit * r.spread[0]);
    ASSERT_LE(ratio, 1.0) << "gate " << gate << " up " << up;
    largest = std::max(largest, ratio);
  }
  EXPECT_GT(largest, 0.9); // a bound that is far too wide would hide errors
}

TEST(Reference, NanStaysInItsRow) {
  const std::vector<uint16_t> x = {half(NAN), 0, 0, half(1), half(1), half(1)};
  const Reference reference = referenceLinear(handMade(), x.data(), 3, 2, 1);
  EXPECT_TRUE(std::isnan(reference.y[0]) && std::isnan(reference.y[1]));
  EXPECT_TRUE(std::isfinite(reference.y[2]) && std::isfinite(reference.y[3]));
}
