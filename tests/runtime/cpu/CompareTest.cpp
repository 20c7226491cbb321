// The comparison must catch what kernels get wrong: single elements, rows, unwritten outputs, NaN.
#include "runtime/cpu/Compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/core/Float16.h"
#include "runtime/cpu/Synthetic.h"

using namespace gptqc;

namespace {

/// A correct output (the rounded reference) of a small layer, to be damaged.
struct Fixture {
  explicit Fixture(const char *text, Inputs inputs = Inputs::Normal, int64_t m = 9) {
    descriptor = *Descriptor::parse(text);
    const QuantizedMatrix matrix = *syntheticLayer(descriptor, 3, 2);
    const std::vector<uint16_t> x =
        syntheticActivations(inputs, m, descriptor.k, descriptor.act, 4, 2);
    reference = referenceLinear(matrix, x.data(), descriptor.k, m, 2);
    for (double value : reference.y)
      y.push_back(fromFloat(float(value), descriptor.out));
  }
  Comparison compare() const {
    return compareOutput(descriptor, reference, y.data(), reference.columns, 2);
  }
  uint16_t &at(int64_t row, int64_t column) { return y[size_t(row * reference.columns + column)]; }

  Descriptor descriptor;
  Reference reference;
  std::vector<uint16_t> y;
};

const char *const kPlain = "w4 g32 sym f16->f16 n96 k256 m1..";

} // namespace

TEST(Compare, RoundedReferencePasses) {
  for (const char *text : {kPlain, "w3 g32 asym bf16->bf16 n96 k256 m1.. bias",
                           "w8 g-1 sym f16->bf16 n96 k256 m1.. silu_mul"}) {
    const Comparison result = Fixture(text).compare();
    EXPECT_TRUE(result.passed()) << text << ": " << result.explain();
    EXPECT_EQ(result.failures, 0);
    EXPECT_GT(result.relativeFrobenius, 0);
    EXPECT_LE(result.maxRatio, 1);
  }
}

/// A group of 2 bits has few different weights; where the inputs have a mean, their rounding errors
/// add up.
TEST(Compare, WeightsMayBeRoundedAndNothingElse) {
  const Descriptor d = *Descriptor::parse("w2 g-1 asym f16->f16 n16 k8192 m1..");
  const QuantizedMatrix matrix = *syntheticLayer(d, 3, 2);
  const std::vector<uint16_t> x = syntheticActivations(Inputs::Shifted, 1, d.k, d.act, 4, 2);
  const Reference reference = referenceLinear(matrix, x.data(), d.k, 1, 2);
  std::vector<uint16_t> rounded, shortened;
  double farthest = 0; // from the reference, in units of u sqrt(sum w^2 x^2)
  for (int64_t n = 0; n < d.n; ++n) {
    double y = 0, exact = 0, squares = 0;
    for (int64_t k = 0; k < d.k; ++k) {
      const double weight = double(toFloat(matrix.scales[size_t(n)], d.scales)) *
                            (matrix.codes[size_t(k * d.n + n)] - matrix.zeroAt(0, n));
      const double value = toFloat(x[size_t(k)], d.act);
      y += double(toFloat(fromFloat(float(weight), d.act), d.act)) * value;
      exact += k < d.k - 64 ? weight * value : 0;
      squares += weight * weight * value * value;
    }
    rounded.push_back(fromFloat(float(y), d.out));
    shortened.push_back(fromFloat(float(exact), d.out));
    farthest = std::max(farthest, std::abs(y - reference.y[size_t(n)]) /
                                      (unitRoundoff(d.act) * std::sqrt(squares)));
  }
  EXPECT_GT(farthest, 8); // a random walk is not enough
  const Comparison result = compareOutput(d, reference, rounded.data(), d.n, 2);
  EXPECT_EQ(result.failures, 0) << result.explain();
  EXPECT_GT(compareOutput(d, reference, shortened.data(), d.n, 2).failures, 0);
}

TEST(Compare, OneWrongElementIsFoundAndNamed) {
  for (double factor : {1.5, -1.5, 50.0}) {
    Fixture f(kPlain);
    const size_t at = 7 * 96 + 31;
    const double tolerance =
        elementTolerance(f.descriptor, f.reference.y[at], f.reference.spread[at]);
    f.y[at] = floatToHalf(float(f.reference.y[at] + factor * tolerance));
    const Comparison result = f.compare();
    EXPECT_FALSE(result.passed());
    EXPECT_EQ(result.failures, 1);
    EXPECT_EQ(result.row, 7);
    EXPECT_EQ(result.column, 31);
    EXPECT_NE(result.explain().find("worst at row 7 column 31"), std::string::npos);
  }
}

TEST(Compare, ErrorsBelowTheBoundPassOneByOneButNotAsANorm) {
  Fixture f(kPlain);
  for (size_t i = 0; i < f.y.size(); ++i) {
    const double tolerance =
        elementTolerance(f.descriptor, f.reference.y[i], f.reference.spread[i]);
    f.y[i] = floatToHalf(float(f.reference.y[i] + 0.6 * tolerance));
  }
  const Comparison result = f.compare();
  EXPECT_EQ(result.failures, 0);
  EXPECT_FALSE(result.passed());
  EXPECT_NE(result.explain().find("Frobenius"), std::string::npos);
}

TEST(Compare, UnwrittenElementFailsEvenWhereTheReferenceIsNan) {
  Fixture f(kPlain, Inputs::NonFinite);
  ASSERT_TRUE(f.compare().passed()) << f.compare().explain();
  f.at(4, 5) = kPoison; // row m / 2 holds the NaN
  const Comparison result = f.compare();
  EXPECT_FALSE(result.passed());
  EXPECT_EQ(result.unwritten, 1);
  EXPECT_EQ(result.row, 4);
  EXPECT_EQ(result.column, 5);
}

TEST(Compare, PoisonIsANanInBothTypes) {
  EXPECT_TRUE(std::isnan(halfToFloat(kPoison)));
  EXPECT_TRUE(std::isnan(bfloatToFloat(kPoison)));
}

TEST(Compare, NanPassesOnlyWhereTheReferenceIsNan) {
  Fixture f(kPlain);
  f.at(0, 0) = floatToHalf(NAN);
  EXPECT_EQ(f.compare().failures, 1);
  Fixture g(kPlain, Inputs::NonFinite);
  g.at(4, 0) = floatToHalf(1.0f); // must be NaN
  g.at(5, 0) = floatToHalf(1.0f); // must be NaN or an infinity
  EXPECT_EQ(g.compare().failures, 2);
}

TEST(Compare, SwappedRowsAndShiftedColumnsFail) {
  Fixture f(kPlain);
  std::swap_ranges(f.y.begin(), f.y.begin() + 96, f.y.begin() + 96);
  EXPECT_GT(f.compare().failures, 96);
  Fixture g(kPlain);
  std::rotate(g.y.begin(), g.y.begin() + 1, g.y.end());
  EXPECT_GT(g.compare().failures, 96);
}

TEST(Compare, OverflowPassesOnlyNearTheThreshold) {
  const Descriptor d = *Descriptor::parse("w4 g-1 sym f16->f16 n1 k16 m1..");
  const uint16_t infinity = floatToHalf(std::numeric_limits<float>::infinity());
  const auto failures = [&](double want, uint16_t got) {
    Reference reference{1, 1, {want}, {1.0}};
    return compareOutput(d, reference, &got, 1, 1).failures;
  };
  EXPECT_EQ(failures(70000, infinity), 0);
  EXPECT_EQ(failures(65500, infinity), 0);
  EXPECT_EQ(failures(60000, infinity), 1);
  EXPECT_EQ(failures(-70000, infinity), 1);
}

TEST(Compare, HonoursTheRowStride) {
  Fixture f(kPlain);
  std::vector<uint16_t> padded(size_t(9 * 100), kPoison);
  for (int64_t row = 0; row < 9; ++row)
    std::copy_n(&f.at(row, 0), 96, padded.begin() + row * 100);
  EXPECT_TRUE(compareOutput(f.descriptor, f.reference, padded.data(), 100, 2).passed());
}

/// All outputs have this value, from terms that are no larger.
void setReference(Fixture &f, double value) {
  f.reference.y.assign(f.reference.y.size(), value);
  f.reference.spread.assign(f.reference.spread.size(), value);
}

// An output that is the small difference of large terms is measured against these.
TEST(Compare, NormCountsAnOutputAsLargeAsItsTerms) {
  Fixture f(kPlain);
  setReference(f, 1.0);
  f.reference.y.assign(f.reference.y.size(), 1e-2);
  f.y.assign(f.y.size(), floatToHalf(1.03e-2f));
  EXPECT_TRUE(f.compare().passed()) << f.compare().explain();
  setReference(f, 1e-2);
  EXPECT_FALSE(f.compare().passed());
}

// Outputs that silu has squashed below the absolute tolerance do not count in the norm; others do.
TEST(Compare, NormLeavesOutSquashedOutputsOfSiluMul) {
  for (const bool silu : {true, false}) {
    Fixture f(silu ? "w8 g-1 sym f16->bf16 n96 k256 m1.. silu_mul"
                   : "w8 g-1 sym f16->bf16 n96 k256 m1..");
    setReference(f, 1e-30);
    f.y.assign(f.y.size(), floatToBfloat(1.1e-30f));
    EXPECT_EQ(f.compare().passed(), silu) << f.compare().explain();
    f.reference.y.assign(f.reference.y.size(), 1.0);
    f.y.assign(f.y.size(), floatToBfloat(1.02f)); // within 8 u_w spread of some, above the norm
    EXPECT_GT(f.compare().frobeniusLimit, 0);
  }
  // f16 rounds what is below its normal numbers to multiples of 6e-8.
  Fixture f("w2 g-1 sym f16->f16 n96 k256 m1.. silu_mul");
  setReference(f, 2.5e-6);
  f.y.assign(f.y.size(), floatToHalf(2.5e-6f));
  EXPECT_TRUE(f.compare().passed()) << f.compare().explain();
  setReference(f, 1e-3);
  f.y.assign(f.y.size(), floatToHalf(1.002e-3f));
  EXPECT_FALSE(f.compare().passed());
}
