// Bit order and zero points against vectors computed by an independent script.
#include "runtime/checkpoint/GptqWords.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace gptqc;

namespace {

using Words = std::vector<uint32_t>;

std::span<const uint8_t> bytes(const Words &words) {
  return {reinterpret_cast<const uint8_t *>(words.data()), words.size() * 4};
}

std::vector<uint8_t> goldenCodes(int bits) {
  std::vector<uint8_t> codes;
  for (int j = 0; j < 32; ++j)
    codes.push_back(uint8_t((5 * j + 3) & ((1 << bits) - 1)));
  return codes;
}

struct Golden {
  Packing packing;
  int bits;
  Words words;
};

class GoldenWords : public ::testing::TestWithParam<Golden> {};

TEST_P(GoldenWords, PackAndUnpack) {
  const Golden &golden = GetParam();
  const std::vector<uint8_t> codes = goldenCodes(golden.bits);
  EXPECT_EQ(packRows(golden.packing, golden.bits, 32, 1, codes), golden.words);
  EXPECT_EQ(unpackRows(golden.packing, golden.bits, 32, 1, bytes(golden.words)), codes);
  // Zero points pack the same way along N.
  EXPECT_EQ(packZeros(golden.packing, golden.bits, 1, 32, codes, false), golden.words);
  EXPECT_EQ(unpackZeros(golden.packing, golden.bits, 1, 32, bytes(golden.words), ZeroRule::Stored),
            codes);
}

constexpr Packing C = Packing::Continuous, P = Packing::Planar;
const Words kFour = {0x61C72D83, 0xE94FA50B, 0x61C72D83, 0xE94FA50B};
const Words kEight = {0x120D0803, 0x26211C17, 0x3A35302B, 0x4E49443F,
                      0x625D5853, 0x76716C67, 0x8A85807B, 0x9E99948F};
const Golden kGolden[] = {
    {C, 2, {0x93939393, 0x93939393}},
    {C, 3, {0x43C67543, 0x7543C675, 0xC67543C6}},
    {C, 4, kFour},
    {C, 8, kEight},
    {P, 2, {0x93939393, 0x93939393}},
    {P, 3, {0x93939393, 0x93939393, 0xB4B4B4B4}},
    {P, 4, kFour},
    {P, 5, {0x61C72D83, 0xE94FA50B, 0x61C72D83, 0xE94FA50B, 0xE1C71E38}},
    {P, 6, {0x61C72D83, 0xE94FA50B, 0x61C72D83, 0xE94FA50B, 0x03FEA540, 0x5403FA95}},
    {P, 7, {0x61C72D83, 0xE94FA50B, 0x61C72D83, 0xE94FA50B, 0x03FEA540, 0x5403FA95, 0x01FFE000}},
    {P, 8, kEight},
};
INSTANTIATE_TEST_SUITE_P(All, GoldenWords, ::testing::ValuesIn(kGolden));

TEST(GptqWords, RoundTripsMatrices) {
  std::mt19937 random(7);
  for (Packing packing : {C, P})
    for (int bits = 2; bits <= 8; ++bits) {
      const int64_t k = 32 + packUnit(bits), n = 7;
      std::vector<uint8_t> codes(size_t(k * n));
      for (uint8_t &code : codes)
        code = uint8_t(random() & ((1u << bits) - 1));
      const Words rows = packRows(packing, bits, k, n, codes);
      EXPECT_EQ(int64_t(rows.size()), packedWords(bits, k) * n);
      EXPECT_EQ(unpackRows(packing, bits, k, n, bytes(rows)), codes) << bits;
      const Words zeros = packZeros(packing, bits, n, k, codes, false);
      EXPECT_EQ(unpackZeros(packing, bits, n, k, bytes(zeros), ZeroRule::Stored), codes) << bits;
    }
}

TEST(GptqWords, ReadsUnalignedBytes) {
  const std::vector<uint8_t> codes = goldenCodes(4);
  std::vector<uint8_t> shifted(17);
  std::memcpy(shifted.data() + 1, kFour.data(), 16);
  EXPECT_EQ(unpackRows(C, 4, 32, 1, std::span<const uint8_t>(shifted).subspan(1)), codes);
}

TEST(GptqWords, PackUnits) {
  EXPECT_TRUE(packsWhole(4, 40));
  EXPECT_FALSE(packsWhole(4, 12));
  EXPECT_TRUE(packsWhole(2, 48));
  EXPECT_FALSE(packsWhole(3, 48));
  EXPECT_FALSE(packsWhole(6, 48));
}

TEST(ZeroWords, SymmetricConstants) {
  const auto words = [](int bits, bool minusOne) {
    return packZeros(C, bits, 1, 32, std::vector<uint8_t>(32, uint8_t(1 << (bits - 1))), minusOne);
  };
  EXPECT_EQ(words(2, true)[0], 0x55555555u);
  EXPECT_EQ(words(2, false)[0], 0xAAAAAAAAu);
  EXPECT_EQ(words(4, true)[0], 0x77777777u);
  EXPECT_EQ(words(4, false)[0], 0x88888888u);
  EXPECT_EQ(words(8, true)[0], 0x7F7F7F7Fu);
  EXPECT_EQ(words(8, false)[0], 0x80808080u);
  EXPECT_EQ(words(3, true), (Words{0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D}));
  EXPECT_EQ(words(3, false), (Words{0x24924924, 0x49249249, 0x92492492}));
}

std::vector<uint8_t> decode4(uint32_t word, ZeroRule rule) {
  return unpackZeros(C, 4, 1, 8, bytes({word}), rule);
}

TEST(ZeroWords, UnderflowByWholeWordsIsExact) {
  const std::vector<uint8_t> zeros = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(packZeros(C, 4, 1, 8, zeros, false), (Words{0x76543210}));
  EXPECT_EQ(decode4(0x654320FF, ZeroRule::AddPerWord), zeros);
  EXPECT_EQ(decode4(0x654320FF, ZeroRule::AddPerField),
            (std::vector<uint8_t>{0, 0, 1, 3, 4, 5, 6, 7}));
  EXPECT_EQ(decode4(0xFFFFFFFF, ZeroRule::AddPerField), std::vector<uint8_t>(8, 0));
}

TEST(ZeroWords, UnderflowFacts) {
  const UnderflowFacts borrowed = underflowFacts(4, bytes({0x654320FF}));
  EXPECT_EQ(borrowed.words, 1);
  EXPECT_EQ(borrowed.others, 1);
  EXPECT_EQ(borrowed.allOnesAbove, 0);
  const UnderflowFacts orPacked = underflowFacts(4, bytes({0xFFFFFFFF, 0xFFFFF321, 0x12345678}));
  EXPECT_EQ(orPacked.words, 2);
  EXPECT_EQ(orPacked.allOnesAbove, 2);
  EXPECT_EQ(orPacked.others, 0);
  EXPECT_EQ(underflowFacts(8, bytes({0xFF010101})).words, 1);
  EXPECT_EQ(underflowFacts(8, bytes({0xFF010101})).allOnesAbove, 0);
}

TEST(ZeroWords, OldThreeBitWordsAreRecognizedAndRepaired) {
  const Words old = {0x00000000, 0xB6DB6DB7, 0x49249249};
  EXPECT_TRUE(isOldThreeBitSignature(bytes(old)));
  EXPECT_FALSE(isOldThreeBitSignature(bytes({0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D})));
  EXPECT_FALSE(isOldThreeBitSignature(bytes({0, 0xB6DB6DB7})));
  EXPECT_EQ(unpackZeros(C, 3, 1, 32, bytes(old), ZeroRule::OldThreeBit),
            std::vector<uint8_t>(32, 4));
}

} // namespace
