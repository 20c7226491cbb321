// The packed layout: bit addresses, column order, padding, and golden words per width.
#include "runtime/core/WeightLayout.h"

#include <algorithm>
#include <array>
#include <random>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TEST(Planes, CoverEachWidthWidestFirst) {
  const std::vector<std::vector<int>> widths = {{2}, {2, 1}, {4}, {4, 1}, {4, 2}, {4, 2, 1}, {8}};
  for (int bits = 2; bits <= 8; ++bits) {
    const std::vector<Plane> planes = planesOf(bits);
    ASSERT_EQ(planes.size(), widths[size_t(bits - 2)].size()) << bits;
    int shift = 0;
    for (size_t i = 0; i < planes.size(); ++i) {
      EXPECT_EQ(planes[i].width, widths[size_t(bits - 2)][i]);
      EXPECT_EQ(planes[i].shift, shift);
      EXPECT_EQ(planes[i].stepsPerChunk() * planes[i].width, 16);
      shift += planes[i].width;
    }
  }
}

Descriptor descriptorOf(int bits, int64_t n, int64_t k, int64_t groupSize) {
  Descriptor descriptor;
  descriptor.bits = bits;
  descriptor.n = n;
  descriptor.k = k;
  descriptor.groupSize = groupSize;
  descriptor.m = {1, kUnboundedM};
  return descriptor;
}

TEST(BitAddress, EveryBitOfEveryPlaneBelongsToOneCode) {
  for (int bits = 2; bits <= 8; ++bits) {
    const WeightLayout layout = WeightLayout::uniform(descriptorOf(bits, 64, 500, 128));
    for (const Plane &plane : layout.planes) {
      std::vector<uint8_t> owners(size_t(plane.bytes * 8), 0);
      for (int64_t row = 0; row < layout.paddedN; ++row)
        for (int64_t kp = 0; kp < layout.paddedK; ++kp) {
          const BitAddress at = bitAddress(layout, plane, row, kp);
          ASSERT_EQ(at.byte % 4, 0);
          ASSERT_LE(at.bit + plane.width, 32);
          for (int i = 0; i < plane.width; ++i)
            ++owners.at(size_t(at.byte * 8 + at.bit + i));
        }
      EXPECT_EQ(std::count(owners.begin(), owners.end(), 1), plane.bytes * 8)
          << "bits " << bits << ", plane of width " << plane.width;
    }
  }
}

/// One 16x16 tile is one m16n8k16 A fragment: a lane's words hold nothing of another lane's.
TEST(BitAddress, FollowsTheTensorCoreFragment) {
  for (int bits = 2; bits <= 8; ++bits) {
    const WeightLayout layout = WeightLayout::uniform(descriptorOf(bits, 128, 1024, -1));
    for (const Plane &plane : layout.planes)
      for (int64_t row = 0; row < layout.paddedN; ++row)
        for (int64_t kp = 0; kp < layout.paddedK; ++kp) {
          const int64_t lane = row % 8 * 4 + kp % 8 / 2;
          const int64_t chunks = layout.paddedK * plane.width / 256;
          const int64_t chunk = row / 16 * chunks + kp * plane.width / 256;
          ASSERT_EQ(bitAddress(layout, plane, row, kp).byte / 16, chunk * 32 + lane);
        }
  }
}

uint32_t wordAt(const std::vector<uint8_t> &bytes, int64_t offset) {
  uint32_t word = 0;
  for (int i = 3; i >= 0; --i)
    word = word << 8 | bytes[size_t(offset + i)];
  return word;
}

/// Lane 5 of rows 16..31, first chunk, for code(row, k) = 7 row + 3 k + 5 (k / 16); derived by hand
/// from the fragment map, lane to code, which is the direction that device code reads.
TEST(PackWeights, GoldenWords) {
  struct Golden {
    int bits, width;
    std::array<uint32_t, 4> words;
  };
  const Golden golden[] = {
      {2, 2, {0x5500aa55u, 0xffaa00ffu, 0x5500aa55u, 0xffaa00ffu}},
      {3, 2, {0x5500aa55u, 0xffaa00ffu, 0x5500aa55u, 0xffaa00ffu}},
      {3, 1, {0xaaaaff55u, 0x555500aau, 0xaaaaff55u, 0x555500aau}},
      {4, 4, {0x0880d55du, 0x5dd52aa2u, 0xa22a7ff7u, 0xf77fc44cu}},
      {5, 4, {0x0880d55du, 0x5dd52aa2u, 0xa22a7ff7u, 0xf77fc44cu}},
      {5, 1, {0x6a567e17u, 0x178117a9u, 0xa96ae87eu, 0x7e177e95u}},
      {6, 4, {0x0880d55du, 0x5dd52aa2u, 0xa22a7ff7u, 0xf77fc44cu}},
      {6, 2, {0x23742337u, 0x9de29ddeu, 0x48897489u, 0x23372337u}},
      {7, 4, {0x0880d55du, 0x5dd52aa2u, 0xa22a7ff7u, 0xf77fc44cu}},
      {7, 2, {0x23742337u, 0x9de29ddeu, 0x48897489u, 0x23372337u}},
      {7, 1, {0xa168a569u, 0x96a59685u, 0x7a5e7a5au, 0xa569a5e9u}},
      {8, 8, {0xb880b57du, 0xd098cd95u, 0xedb5eab2u, 0x05cd02cau}},
  };
  const int64_t n = 64, k = 256;
  for (const Golden &expected : golden) {
    const int bits = expected.bits;
    std::vector<uint8_t> codes(size_t(n * k));
    for (int64_t column = 0; column < k; ++column)
      for (int64_t row = 0; row < n; ++row)
        codes[size_t(column * n + row)] =
            uint8_t((7 * row + 3 * column + 5 * (column / 16)) & ((1 << bits) - 1));
    const std::vector<uint16_t> scales(size_t(n), 0x3c00);
    const Result<QuantizedMatrix> matrix = layerFromCodes(
        {.bits = bits, .n = n, .k = k, .groupSize = -1, .codes = codes, .scales = scales});
    ASSERT_TRUE(matrix.ok()) << matrix.status().message();
    const PackedWeights packed = packWeights(*matrix);
    const auto plane = std::find_if(packed.layout.planes.begin(), packed.layout.planes.end(),
                                    [&](const Plane &p) { return p.width == expected.width; });
    ASSERT_NE(plane, packed.layout.planes.end());
    const int64_t chunks = packed.layout.paddedK * plane->width / 256;
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(wordAt(packed.weights, plane->offset + (chunks * 32 + 5) * 16 + 4 * i),
                expected.words[size_t(i)])
          << "bits " << bits << ", width " << expected.width << ", word " << i;
  }
}

enum class Order { Plain, ActOrder, Ragged };

struct Case {
  int bits;
  int64_t n, k, groupSize;
  Order order;
  bool siluMul, sym;
};

std::string nameOf(const Case &c) {
  return fmt::format("w{} n{} k{} g{} order{} silu{} sym{}", c.bits, c.n, c.k, c.groupSize,
                     int(c.order), c.siluMul, c.sym);
}

Result<QuantizedMatrix> randomMatrix(const Case &c, uint64_t seed) {
  std::mt19937_64 random(seed);
  const int64_t groupSize = c.groupSize < 0 || c.groupSize > c.k ? c.k : c.groupSize;
  const int64_t groups = (c.k + groupSize - 1) / groupSize;
  std::vector<uint8_t> codes(size_t(c.k * c.n)), zeros;
  for (uint8_t &code : codes)
    code = uint8_t(random() & ((1u << c.bits) - 1));
  if (!c.sym) {
    zeros.resize(size_t(groups * c.n));
    for (uint8_t &zero : zeros)
      zero = uint8_t(random() & ((1u << c.bits) - 1));
  }
  std::vector<uint16_t> scales(size_t(groups * c.n));
  for (uint16_t &scale : scales)
    scale = uint16_t(random() & 0x7bff);
  std::vector<int32_t> groupIndex;
  if (c.order != Order::Plain) {
    for (int64_t k = 0; k < c.k; ++k)
      groupIndex.push_back(int32_t(k / groupSize));
    if (c.order == Order::Ragged)
      for (int32_t &group : groupIndex)
        group = int32_t(random() % uint64_t(groups));
    else
      std::shuffle(groupIndex.begin(), groupIndex.end(), random);
  }
  return layerFromCodes({.bits = c.bits,
                         .n = c.n,
                         .k = c.k,
                         .groupSize = c.groupSize,
                         .codes = codes,
                         .zeros = zeros,
                         .scales = scales,
                         .groupIndex = groupIndex,
                         .siluMul = c.siluMul});
}

/// Every column sits once, inside the range of its group, in source order.
void checkOrder(const QuantizedMatrix &matrix, const PackedOrder &order) {
  const WeightLayout &layout = order.layout;
  ASSERT_EQ(int64_t(order.perm.size()), layout.paddedK);
  ASSERT_EQ(int64_t(order.groupOf.size()), layout.paddedK / 16);
  std::vector<int> seen(size_t(matrix.descriptor.k), 0);
  std::vector<int32_t> last(size_t(matrix.groups), -1);
  for (int64_t kp = 0; kp < layout.paddedK; ++kp) {
    const int32_t column = order.perm[size_t(kp)];
    if (column < 0)
      continue;
    ++seen.at(size_t(column));
    const int group = matrix.groupOf(column);
    ASSERT_EQ(order.groupOf[size_t(kp / 16)], group) << "kp " << kp;
    if (layout.paddedGroupSize > 0) {
      ASSERT_EQ(kp / layout.paddedGroupSize, group) << "kp " << kp;
    }
    ASSERT_LT(last[size_t(group)], column);
    last[size_t(group)] = column;
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), matrix.descriptor.k);
}

/// Codes come back; wherever there is none, code == zero point, so that it dequantizes to 0.
void checkCodes(const QuantizedMatrix &matrix, const PackedOrder &order,
                const PackedWeights &packed) {
  const WeightLayout &layout = packed.layout;
  std::vector<int64_t> rowOf(size_t(layout.paddedN), -1);
  for (int64_t row = 0; row < layout.n; ++row)
    rowOf.at(size_t(layout.packedRow(row))) = row;
  for (int64_t packedRow = 0; packedRow < layout.paddedN; ++packedRow) {
    const int64_t row = rowOf[size_t(packedRow)];
    for (int64_t kp = 0; kp < layout.paddedK; ++kp) {
      const int32_t column = order.perm[size_t(kp)];
      const int64_t group = order.groupOf[size_t(kp / 16)];
      int expected = matrix.descriptor.symZero();
      if (row >= 0 && column >= 0)
        expected = matrix.codes[size_t(column * layout.n + row)];
      else if (row >= 0 && group < matrix.groups)
        expected = matrix.zeroAt(group, row);
      ASSERT_EQ(unpackCode(packed, packedRow, kp), expected) << "row " << packedRow << " kp " << kp;
    }
    for (int64_t group = 0; group < layout.paddedGroups; ++group) {
      const size_t at =
          size_t((packedRow / 16 * layout.paddedGroups + group) * 16 + packedRow % 16);
      const bool real = row >= 0 && group < matrix.groups;
      ASSERT_EQ(packed.scales.at(at), real ? matrix.scales[size_t(group * layout.n + row)] : 0);
      if (!matrix.descriptor.sym) {
        ASSERT_EQ(packed.zeros.at(at),
                  real ? matrix.zeroAt(group, row) : matrix.descriptor.symZero());
      }
    }
  }
}

void checkPacking(const Case &c, uint64_t seed) {
  SCOPED_TRACE(fmt::format("seed {}: {}", seed, nameOf(c)));
  const Result<QuantizedMatrix> matrix = randomMatrix(c, seed);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  const PackedOrder order = packedOrder(*matrix);
  const PackedWeights packed = packWeights(*matrix);
  const WeightLayout &layout = packed.layout;

  EXPECT_EQ(layout.parts, c.siluMul ? 2 : 1);
  EXPECT_EQ(layout.paddedN % (64 * layout.parts), 0);
  EXPECT_GE(layout.paddedRowsPerPart(), layout.rowsPerPart());
  for (const Plane &plane : layout.planes)
    EXPECT_EQ(layout.paddedK % (16 * plane.stepsPerChunk()), 0);
  EXPECT_EQ(int64_t(packed.weights.size()), layout.paddedN * layout.paddedK * c.bits / 8);
  EXPECT_EQ(int64_t(packed.scales.size()) * 2, layout.scaleBytes);
  EXPECT_EQ(int64_t(packed.zeros.size()), layout.zeroBytes);
  EXPECT_EQ(packed.zeros.empty(), matrix->descriptor.sym);
  EXPECT_EQ(packed.groupOf.empty(), !matrix->descriptor.ragged);
  EXPECT_EQ(packed.perm.empty(), order.identity);
  if (!order.identity) {
    EXPECT_TRUE(layout.permuted) << "the kernel must be told that there can be a permutation";
  }
  checkOrder(*matrix, order);
  checkCodes(*matrix, order, packed);
}

TEST(PackWeights, FixedCases) {
  uint64_t seed = 100;
  for (int bits = 2; bits <= 8; ++bits) {
    checkPacking({bits, 1, 1, -1, Order::Plain, false, true}, seed++);
    checkPacking({bits, 48, 257, 24, Order::Plain, false, false}, seed++);
    checkPacking({bits, 65, 300, 128, Order::ActOrder, false, false}, seed++);
    checkPacking({bits, 130, 200, 64, Order::Ragged, true, false}, seed++);
    checkPacking({bits, 64, 256, 128, Order::Plain, false, true}, seed++);
  }
}

TEST(PackWeights, RandomCases) {
  constexpr uint64_t kSeed = 42;
  std::mt19937_64 random(kSeed);
  const int64_t groupSizes[] = {-1, 1, 7, 16, 24, 32, 64, 128, 1000};
  for (int i = 0; i < 200; ++i) {
    Case c{};
    c.bits = int(2 + random() % 7);
    c.siluMul = random() % 4 == 0;
    c.n = int64_t(1 + random() % 90) * (c.siluMul ? 2 : 1);
    c.k = int64_t(1 + random() % 400);
    c.groupSize = groupSizes[random() % std::size(groupSizes)];
    c.order = Order(random() % 3);
    c.sym = random() % 2 == 0;
    checkPacking(c, kSeed + uint64_t(i));
    if (HasFatalFailure())
      return;
  }
}

TEST(PackWeights, IdentityPermutationIsDropped) {
  const Result<QuantizedMatrix> plain =
      randomMatrix({4, 64, 256, 64, Order::Plain, false, true}, 1);
  ASSERT_TRUE(plain.ok());
  EXPECT_TRUE(packWeights(*plain).perm.empty());
  // Groups of 24 columns are padded to 32: columns move although there is no act-order.
  const Result<QuantizedMatrix> padded =
      randomMatrix({4, 64, 256, 24, Order::Plain, false, true}, 1);
  ASSERT_TRUE(padded.ok());
  EXPECT_FALSE(packWeights(*padded).perm.empty());
}

} // namespace
} // namespace gptqc
