// Packing and unpacking by the table of bit pieces; the inner loops run along contiguous memory.
#include "runtime/checkpoint/GptqWords.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/core/WeightLayout.h"

namespace gptqc {
namespace {

constexpr std::array<uint32_t, 3> kOldThreeBitOnes = {0x24924924, 0x92492492, 0x49249249};

uint32_t mask(int width) { return (uint32_t(1) << width) - 1; }

/// `words` words, read from bytes without alignment.
std::vector<uint32_t> loadWords(std::span<const uint8_t> bytes) {
  std::vector<uint32_t> words(bytes.size() / 4);
  if (!words.empty())
    std::memcpy(words.data(), bytes.data(), words.size() * 4);
  return words;
}

/// Lays out `lines` lines of `count` codes each. Code i of line l is at codes[i*codeStep +
/// l*codeLine]; word w of line l at words[w*wordStep + l*wordLine].
struct Shape {
  int64_t count, lines, codeStep, codeLine, wordStep, wordLine;
};

template <typename Visit>
void forEachPiece(Packing packing, int bits, int64_t count, const Visit &visit) {
  std::array<std::vector<BitPiece>, 32> table;
  for (int j = 0; j < 32; ++j)
    table[size_t(j)] = bitPieces(packing, bits, j);
  for (int64_t i = 0; i < count; ++i)
    for (const BitPiece &piece : table[size_t(i % 32)])
      visit(i, i / 32 * bits + piece.word, piece);
}

void unpack(Packing packing, int bits, const Shape &s, const uint32_t *words, uint8_t *codes) {
  forEachPiece(packing, bits, s.count, [&](int64_t i, int64_t word, const BitPiece &piece) {
    const uint32_t bitMask = mask(piece.width);
    const uint32_t *from = words + word * s.wordStep;
    uint8_t *to = codes + i * s.codeStep;
    for (int64_t l = 0; l < s.lines; ++l)
      to[l * s.codeLine] |=
          uint8_t(((from[l * s.wordLine] >> piece.shift) & bitMask) << piece.place);
  });
}

void pack(Packing packing, int bits, const Shape &s, const uint8_t *codes, uint32_t *words) {
  forEachPiece(packing, bits, s.count, [&](int64_t i, int64_t word, const BitPiece &piece) {
    const uint32_t bitMask = mask(piece.width);
    const uint8_t *from = codes + i * s.codeStep;
    uint32_t *to = words + word * s.wordStep;
    for (int64_t l = 0; l < s.lines; ++l)
      to[l * s.wordLine] |= ((uint32_t(from[l * s.codeLine]) >> piece.place) & bitMask)
                            << piece.shift;
  });
}

Shape rowShape(int64_t k, int64_t n) { return {k, n, n, 1, n, 1}; }
Shape zeroShape(int bits, int64_t groups, int64_t n) {
  return {n, groups, 1, n, 1, packedWords(bits, n)};
}

/// A one in every field of a word: 2, 4 and 8 bits.
uint32_t onesOf(int bits) {
  return bits == 2 ? 0x55555555u : bits == 4 ? 0x11111111u : 0x01010101u;
}

} // namespace

std::string_view packingName(Packing packing) {
  return packing == Packing::Planar ? "planar" : "continuous";
}

std::vector<BitPiece> bitPieces(Packing packing, int bits, int j) {
  std::vector<BitPiece> pieces;
  if (packing == Packing::Continuous) {
    const int first = j * bits, word = first / 32, shift = first % 32;
    const int low = std::min(bits, 32 - shift);
    pieces.push_back({uint8_t(word), uint8_t(shift), uint8_t(low), 0});
    if (low < bits)
      pieces.push_back({uint8_t(word + 1), 0, uint8_t(bits - low), uint8_t(low)});
    return pieces;
  }
  int firstWord = 0;
  for (const Plane &plane : planesOf(bits)) {
    const int perWord = 32 / plane.width;
    pieces.push_back({uint8_t(firstWord + j / perWord), uint8_t(j % perWord * plane.width),
                      uint8_t(plane.width), uint8_t(plane.shift)});
    firstWord += plane.width;
  }
  return pieces;
}

int64_t packUnit(int bits) { return bits == 2 || bits == 4 || bits == 8 ? 32 / bits : 32; }
bool packsWhole(int bits, int64_t count) { return count % packUnit(bits) == 0; }

std::vector<uint8_t> unpackRows(Packing packing, int bits, int64_t k, int64_t n,
                                std::span<const uint8_t> words) {
  std::vector<uint8_t> codes(size_t(k * n), 0);
  const std::vector<uint32_t> aligned = loadWords(words);
  unpack(packing, bits, rowShape(k, n), aligned.data(), codes.data());
  return codes;
}

std::vector<uint32_t> packRows(Packing packing, int bits, int64_t k, int64_t n,
                               std::span<const uint8_t> codes) {
  std::vector<uint32_t> words(size_t(packedWords(bits, k) * n), 0);
  pack(packing, bits, rowShape(k, n), codes.data(), words.data());
  return words;
}

std::vector<uint8_t> unpackZeros(Packing packing, int bits, int64_t groups, int64_t n,
                                 std::span<const uint8_t> words, ZeroRule rule) {
  std::vector<uint32_t> aligned = loadWords(words);
  if (rule == ZeroRule::OldThreeBit)
    for (size_t i = 0; i < aligned.size(); ++i)
      aligned[i] += kOldThreeBitOnes[i % 3];
  if (rule == ZeroRule::AddPerWord)
    for (uint32_t &word : aligned)
      word += onesOf(bits);
  std::vector<uint8_t> zeros(size_t(groups * n), 0);
  unpack(packing, bits, zeroShape(bits, groups, n), aligned.data(), zeros.data());
  if (rule == ZeroRule::AddPerField)
    for (uint8_t &zero : zeros)
      zero = uint8_t((zero + 1) & int(mask(bits)));
  return zeros;
}

std::vector<uint32_t> packZeros(Packing packing, int bits, int64_t groups, int64_t n,
                                std::span<const uint8_t> zeros, bool minusOne) {
  std::vector<uint8_t> stored(zeros.begin(), zeros.end());
  if (minusOne)
    for (uint8_t &zero : stored)
      zero = uint8_t((zero - 1) & int(mask(bits)));
  std::vector<uint32_t> words(size_t(groups * packedWords(bits, n)), 0);
  pack(packing, bits, zeroShape(bits, groups, n), stored.data(), words.data());
  return words;
}

bool isOldThreeBitSignature(std::span<const uint8_t> words) {
  constexpr std::array<uint32_t, 3> kSignature = {0x00000000, 0xB6DB6DB7, 0x49249249};
  if (words.empty() || words.size() % 12 != 0)
    return false;
  for (size_t i = 0; i < words.size(); i += 12)
    if (std::memcmp(words.data() + i, kSignature.data(), 12) != 0)
      return false;
  return true;
}

UnderflowFacts underflowFacts(int bits, std::span<const uint8_t> words) {
  UnderflowFacts facts;
  const uint32_t field = mask(bits);
  for (uint32_t word : loadWords(words)) {
    for (int shift = 0; shift < 32; shift += bits) {
      if (((word >> shift) & field) != field)
        continue;
      ++facts.words;
      const int above = 32 - shift - bits;
      if (above > 0 && word >> (shift + bits) == mask(above))
        ++facts.allOnesAbove;
      else if (above > 0)
        ++facts.others;
      break;
    }
  }
  return facts;
}

} // namespace gptqc
