// Both 16-bit formats against their definition in double precision: every bit pattern, and around
// every rounding boundary.
#include "runtime/core/Float16.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

struct Format {
  DType type;
  int mantissaBits;
  int bias;
  int maxExponent; ///< the biased exponent of infinity and NaN
};
constexpr Format kHalf{DType::F16, 10, 15, 31};
constexpr Format kBfloat{DType::BF16, 7, 127, 255};

/// The value that IEEE 754 gives to a bit pattern.
double definition(const Format &format, uint16_t bits) {
  const int exponent = bits >> format.mantissaBits & format.maxExponent;
  const int mantissa = bits & ((1 << format.mantissaBits) - 1);
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == format.maxExponent)
    return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  const int hidden = exponent ? 1 << format.mantissaBits : 0;
  const int scale = (exponent ? exponent : 1) - format.bias - format.mantissaBits;
  return sign * std::ldexp(double(mantissa + hidden), scale);
}

/// Round to nearest even on the grid of the format, in double arithmetic.
double roundedValue(const Format &format, double value) {
  if (value == 0 || !std::isfinite(value))
    return value;
  int exponent = 0;
  std::frexp(value, &exponent); // value = f * 2^exponent, 0.5 <= |f| < 1
  const int smallest = 1 - format.bias - format.mantissaBits;
  const int step = std::max(exponent - 1 - format.mantissaBits, smallest);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -step)), step);
  const double limit = std::ldexp(1.0, format.maxExponent - format.bias);
  return std::fabs(rounded) >= limit ? std::copysign(INFINITY, value) : rounded;
}

class Float16 : public ::testing::TestWithParam<Format> {};

TEST_P(Float16, EveryPatternReadsAsDefinedAndRoundTrips) {
  const Format format = GetParam();
  int wrong = 0;
  for (int bits = 0; bits < 65536; ++bits) {
    const float value = toFloat(uint16_t(bits), format.type);
    const double expected = definition(format, uint16_t(bits));
    const uint16_t back = fromFloat(value, format.type);
    bool good = false;
    if (std::isnan(expected))
      good = std::isnan(value) && std::isnan(toFloat(back, format.type));
    else
      good = double(value) == expected && std::signbit(value) == std::signbit(expected) &&
             back == bits;
    wrong += !good;
    if (!good && wrong < 5)
      ADD_FAILURE() << fmt::format("{:#06x} reads as {}, writes as {:#06x}", bits, value, back);
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(Float16, RoundsToNearestEvenBetweenEveryTwoNeighbours) {
  const Format format = GetParam();
  const uint16_t infinity = uint16_t(format.maxExponent << format.mantissaBits);
  int wrong = 0;
  for (int bits = 0; bits + 1 < infinity; ++bits) {
    const float low = toFloat(uint16_t(bits), format.type);
    const float high = toFloat(uint16_t(bits + 1), format.type);
    const float middle = float((double(low) + double(high)) / 2); // exact in float
    const float below = std::nextafterf(middle, 0.0f);
    const float above = std::nextafterf(middle, INFINITY);
    const uint16_t even = uint16_t(bits & 1 ? bits + 1 : bits);
    for (uint16_t sign : {0, 0x8000}) {
      const float s = sign ? -1.0f : 1.0f;
      wrong += fromFloat(s * middle, format.type) != (even | sign);
      wrong += fromFloat(s * below, format.type) != (bits | sign);
      wrong += fromFloat(s * above, format.type) != ((bits + 1) | sign);
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(Float16, RandomFloatsRoundAsInDouble) {
  const Format format = GetParam();
  constexpr uint64_t kSeed = 3;
  std::mt19937_64 random(kSeed);
  int wrong = 0;
  for (int i = 0; i < 1000000; ++i) {
    const float value = std::bit_cast<float>(uint32_t(random()));
    const float converted = toFloat(fromFloat(value, format.type), format.type);
    const double expected = roundedValue(format, value);
    const bool good = std::isnan(value) ? std::isnan(converted) : double(converted) == expected;
    wrong += !good;
    if (!good && wrong < 5)
      ADD_FAILURE() << fmt::format("seed {}, case {}: {} became {}, not {}", kSeed, i, value,
                                   converted, expected);
  }
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Formats, Float16, ::testing::Values(kHalf, kBfloat),
                         [](const auto &info) { return std::string(dtypeName(info.param.type)); });

TEST(Float16Limits, OverflowAndUnderflow) {
  EXPECT_EQ(floatToHalf(65519.996f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(-65520.0f), 0xfc00);
  EXPECT_EQ(floatToHalf(1e30f), 0x7c00);
  EXPECT_EQ(floatToHalf(0x1p-25f), 0x0000) << "a tie at half the smallest subnormal goes to even";
  EXPECT_EQ(floatToHalf(0x1.000002p-25f), 0x0001);
  EXPECT_EQ(floatToHalf(-0.0f), 0x8000);
  EXPECT_EQ(floatToBfloat(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(floatToBfloat(-0.0f), 0x8000);
  // A NaN whose mantissa lives in the bits that bfloat16 drops must not become infinity.
  EXPECT_TRUE(std::isnan(bfloatToFloat(floatToBfloat(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Float16Limits, UnitRoundoff) {
  EXPECT_EQ(unitRoundoff(DType::F16), double(halfToFloat(0x3c01)) / 2 - 0.5);
  EXPECT_EQ(unitRoundoff(DType::BF16), double(bfloatToFloat(0x3f81)) / 2 - 0.5);
}

} // namespace
} // namespace gptqc
