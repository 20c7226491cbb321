// The device functions of the gemv family, which the compiler does not emit yet: kernels written
// out by hand, in the form that an emitter would print, on the cases that matter for them.
#define GPTQC_SIM_ARCH 800
#include "tests/sim/host/cuda_host.h"

#include <gtest/gtest.h>

#include "gptqc/gemv.cuh"
#include "tests/sim/KernelCase.h"

namespace gptqc::sim {
namespace {

template <int weightBits, bool isSym, typename type, int rows, int columns, int groupSteps>
struct Layer {
  static constexpr int bits = weightBits;
  static constexpr bool sym = isSym, ragged = false, permuted = false, bias = false;
  static constexpr int parts = 1;
  static constexpr long long n = rows, k = columns;
  static constexpr long long padded_n = (rows + 63) / 64 * 64, padded_k = columns;
  static constexpr int padded_groups = columns / 16 / groupSteps, group_steps = groupSteps;
  using act = type;
  using out = type;
  using scale = type;
};

template <int tokens, int unit, int nWarps, int kWarps, int slots> struct Tile {
  static constexpr int n = 16 * nWarps, m = (tokens + 7) / 8 * 8, k = unit;
  static constexpr int n_warps = nWarps, m_warps = 1, k_warps = kWarps, stages = slots, split_k = 1;
  static constexpr int x_rows = tokens;
};

template <typename layer, typename tile> struct Plan {
  using g = gemv_shape<layer, tile>;
  static constexpr int ring = (g::x_bytes + 127) / 128 * 128;
  static constexpr int sums = ring + (g::ring_bytes + 127) / 128 * 128;
  static constexpr int bytes = sums + 2 * g::reduce_floats * 4;
};

template <typename layer, typename tile> void kernel(linear_args args) {
  GPTQC_SHARED_MEMORY(shared);
  u8 *const x_rows = shared;
  float *const buffers = (float *)(shared + Plan<layer, tile>::sums);
  constexpr int flush = layer::group_steps < 4 ? layer::group_steps : 4;
  copy_x_rows<layer, tile, false>(x_rows, args, blockIdx.y, 0);
  weight_stream<layer, tile> stream(shared + Plan<layer, tile>::ring, args, blockIdx.x, 0);
  wait_copies<tile::stages - 1>();
  block_barrier();
  x_reader<layer, tile> reader(x_rows, args.m - int(blockIdx.y) * tile::m, stream.begin);
  int parity = 0;
  for (int item = blockIdx.x; item < gemv_shape<layer, tile>::items; item += gridDim.x) {
    float acc[tile::m / 8][4] = {};
    reader.rewind();
    for (int unit = stream.begin; unit < stream.end; unit += 1) {
      const u8 *slot = stream.next(args);
      for (int step = 0; step < tile::k / 16; step += flush) {
        u32 b[flush][tile::m / 8][2];
        reader.template load<flush>(b, step);
        accumulate_unit<layer, tile, flush>(acc, b, slot, unit, step);
      }
      reader.advance();
    }
    gemv_store<layer, tile>(args, gemv_reduce<layer, tile>(buffers, acc, parity), item, blockIdx.y);
    parity ^= 1;
  }
}

template <typename layer, typename tile>
void check(const char *descriptor, std::initializer_list<int64_t> tokens, int blocks) {
  using g = gemv_shape<layer, tile>;
  LaunchFacts facts;
  facts.threads = g::threads;
  facts.sharedBytes = Plan<layer, tile>::bytes;
  facts.tileM = tile::m;
  facts.paddedN = layer::padded_n;
  facts.tileN = int(layer::padded_n) / blocks; // so many persistent blocks
  for (int64_t m : tokens)
    for (Inputs inputs : kAllInputs) {
      const Report report = runCase(reinterpret_cast<KernelEntry>(kernel<layer, tile>), facts,
                                    descriptor, m, inputs, uint64_t(7 * m));
      EXPECT_TRUE(report.clean()) << descriptor << " m " << m << "\n" << report.text();
    }
}

TEST(Gemv, FourBits) {
  check<Layer<4, true, f16, 128, 1024, 8>, Tile<1, 128, 1, 4, 4>>(
      "w4 g128 sym f16->f16 n128 k1024 m1..", {1}, 2);
  check<Layer<4, false, bf16, 100, 512, 2>, Tile<8, 64, 2, 4, 3>>(
      "w4 g32 asym bf16->bf16 scales:bf16 n100 k512 m1..", {1, 5, 8}, 1);
  // More k warps than units: some have nothing to stream.
  check<Layer<4, true, f16, 64, 256, 8>, Tile<3, 128, 1, 4, 3>>(
      "w4 g128 sym f16->f16 n64 k256 m1..", {3}, 1);
}

TEST(Gemv, OtherBits) {
  check<Layer<2, true, f16, 64, 512, 4>, Tile<16, 128, 1, 4, 3>>(
      "w2 g64 sym f16->f16 n64 k512 m1..", {9, 16}, 2);
  check<Layer<3, false, f16, 64, 512, 8>, Tile<2, 256, 1, 2, 3>>(
      "w3 g128 asym f16->f16 n64 k512 m1..", {2}, 1);
  check<Layer<5, true, bf16, 64, 512, 8>, Tile<8, 256, 1, 2, 2>>(
      "w5 g128 sym bf16->bf16 scales:bf16 n64 k512 m1..", {7}, 1);
  check<Layer<8, false, f16, 64, 256, 2>, Tile<4, 64, 1, 2, 4>>(
      "w8 g32 asym f16->f16 n64 k256 m1..", {4}, 2);
}

} // namespace
} // namespace gptqc::sim
