// The kernel that permutes X in front of another one.
#include "tests/sim/host/cuda_host.h"

#include <algorithm>
#include <cstring>

#include "gptqc/permute.cuh"
#include "tests/sim/RunKernel.h"

namespace gptqc::sim {
namespace {

constexpr int kRows = 3, kColumns = 44, kPacked = 64, kStride = 48;

alignas(16) int perm[kPacked];

template <int rows> struct Facts {
  static constexpr i64 source_k = kColumns, padded_k = kPacked;
  static constexpr int staged_rows = rows, permute_threads = rows > 0 ? 512 : 64;
};

template <int rows, bool permuted, int shift> void body() {
  GPTQC_SHARED_MEMORY(shared);
  linear_args args = {};
  args.x = (const u16 *)source + shift;
  args.y = (u16 *)result;
  args.perm = permuted ? perm : nullptr;
  args.ldx = kStride;
  args.ldy = kPacked;
  args.m = kRows;
  permute_activations<Facts<rows>>(shared, args);
}

/// Column of X that a packed one holds; -1: zero.
int columnOf(bool permuted, int k) {
  if (!permuted)
    return k < kColumns ? k : -1;
  return k % 5 == 4 ? -1 : (k * 7 + 3) % kColumns;
}

template <int rows, bool permuted, int shift> void expectPermuted() {
  void (*const kernel)() = body<rows, permuted, shift>;
  for (int i = 0; i < kRows * kStride + shift; ++i) {
    const auto value = uint16_t(1000 + i);
    std::memcpy(source + 2 * i, &value, 2);
  }
  for (int k = 0; k < kPacked; ++k)
    perm[k] = columnOf(true, k);
  std::fill_n(result, sizeof result, uint8_t(0xee));
  Launch launch;
  launch.kernel = [](const void *context) {
    reinterpret_cast<void (*)()>(const_cast<void *>(context))();
  };
  launch.context = reinterpret_cast<const void *>(kernel);
  launch.threads = Facts<rows>::permute_threads;
  launch.sharedBytes = 4096;
  launch.programmatic = true;
  launch.buffers = {{"source", source, sizeof source, false, true},
                    {"perm", reinterpret_cast<uint8_t *>(perm), sizeof perm, false, false},
                    {"result", result, sizeof result, true, true}};
  const Report report = run(launch);
  EXPECT_TRUE(report.clean()) << report.text();
  for (int row = 0; row < kRows; ++row)
    for (int k = 0; k < kPacked; ++k) {
      const int column = columnOf(permuted, k);
      uint16_t value = 0;
      std::memcpy(&value, result + 2 * (row * kPacked + k), 2);
      ASSERT_EQ(value, column < 0 ? 0 : 1000 + shift + row * kStride + column) << row << " " << k;
    }
}

} // namespace

TEST(Permute, AnyAlignmentWithAndWithoutPermutation) {
  expectPermuted<1, true, 0>();
  expectPermuted<1, true, 1>();
  expectPermuted<1, false, 0>();
  expectPermuted<2, true, 0>();
  expectPermuted<2, false, 1>();
  expectPermuted<4, true, 0>();
  expectPermuted<4, true, 1>();
  expectPermuted<0, true, 0>();
  expectPermuted<0, false, 1>();
}

} // namespace gptqc::sim
