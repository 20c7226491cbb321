// The parameters of the support kernels in templates/support/, field by field as the kernels
// declare them; both sides assert the sizes. Pointers are device addresses, borrowed for the
// launch.
#ifndef GPTQC_RUNTIME_DEVICE_SUPPORTARGS_H
#define GPTQC_RUNTIME_DEVICE_SUPPORTARGS_H

#include <cstdint>

#include "runtime/core/Descriptor.h"
#include "runtime/core/WeightLayout.h"

namespace gptqc {

/// repack.cu, repack_weights: one thread per 16 bytes of the packed weights, 256 per block.
struct RepackArgs {
  uint64_t source = 0; ///< kind 0: codes [K,N] uint8; 1: continuous, 2: planar words [K*bits/32, N]
  uint64_t perm = 0;   ///< [Kp] int32
  uint64_t groupOf = 0; ///< [Kp/16] int32
  uint64_t zeros = 0;   ///< [G,N] uint8; 0 when symmetric
  uint64_t weights = 0; ///< out
  int64_t n = 0, k = 0, paddedN = 0, paddedK = 0;
  int32_t groups = 0;
  int32_t bits = 0;
  int32_t parts = 1;
  int32_t kind = 0;
};
static_assert(sizeof(RepackArgs) == 88);

/// repack.cu, repack_scales: one thread per packed scale, 256 per block.
struct RepackScalesArgs {
  uint64_t scales = 0;       ///< [G,N] 16-bit
  uint64_t zeros = 0;        ///< [G,N] uint8; 0 when symmetric
  uint64_t packedScales = 0; ///< out
  uint64_t packedZeros = 0;  ///< out; 0 when symmetric
  int64_t n = 0, paddedN = 0;
  int32_t groups = 0, paddedGroups = 0;
  int32_t parts = 1;
  int32_t padding = 0; ///< zero point of rows and groups that do not exist
};
static_assert(sizeof(RepackScalesArgs) == 64);

/// reference.cu, reference_gemm: grid ceil(N/64) x ceil(M/16), 256 threads, kReferenceSharedBytes.
struct ReferenceArgs {
  uint64_t codes = 0;   ///< [K,N] uint8
  uint64_t zeros = 0;   ///< [G,N] uint8; 0 when symmetric
  uint64_t scales = 0;  ///< [G,N]
  uint64_t groupOf = 0; ///< [K] int32
  uint64_t x = 0;       ///< [M,K], row stride ldx
  uint64_t bias = 0;    ///< [N]; 0: none
  uint64_t y = 0;       ///< out: [M,N] double
  uint64_t squares = 0; ///< out: [M,N] double, as spreadSquare (Reference.h)
  int64_t n = 0, k = 0, ldx = 0;
  int32_t m = 0;
  int32_t symZero = 0;
  int32_t actBf16 = 0, scaleBf16 = 0;
};
static_assert(sizeof(ReferenceArgs) == 104);
inline constexpr int64_t kReferenceSharedBytes = 14336;

/// The layer's facts and m rows of X without padding; the addresses are the caller's.
inline ReferenceArgs referenceArgs(const Descriptor &d, int64_t m) {
  ReferenceArgs args;
  args.n = d.n;
  args.k = args.ldx = d.k;
  args.m = int32_t(m);
  args.symZero = d.symZero();
  args.actBf16 = d.act == DType::BF16;
  args.scaleBf16 = d.scales == DType::BF16;
  return args;
}

/// dequantize.cu, dequantize_dense: grid ceil(N/32) x ceil(K/32), 256 threads.
struct DequantizeArgs {
  uint64_t codes = 0;   ///< [K,N] uint8
  uint64_t zeros = 0;   ///< [G,N] uint8; 0 when symmetric
  uint64_t scales = 0;  ///< [G,N]
  uint64_t groupOf = 0; ///< [K] int32
  uint64_t dense = 0;   ///< out: [N,K]
  int64_t n = 0, k = 0;
  int32_t symZero = 0;
  int32_t outBf16 = 0, scaleBf16 = 0;
  int32_t reserved = 0;
};
static_assert(sizeof(DequantizeArgs) == 72);

/// dequantize_packed.cu, dequantize_packed: grid ceil(Kp/256) x ceil(N/16) (65535 at most), 256
/// threads.
struct DequantizePackedArgs {
  /// All but the addresses.
  static DequantizePackedArgs of(const Descriptor &d, const WeightLayout &layout, DType out) {
    DequantizePackedArgs args;
    args.n = d.n, args.k = d.k;
    args.paddedN = layout.paddedN, args.paddedK = layout.paddedK;
    args.bits = d.bits;
    args.parts = int32_t(layout.parts);
    args.paddedGroups = int32_t(layout.paddedGroups);
    args.paddedGroupSize = int32_t(layout.paddedGroupSize);
    args.symZero = d.symZero();
    args.outBf16 = out == DType::BF16;
    args.scaleBf16 = d.scales == DType::BF16;
    return args;
  }

  uint64_t weights = 0; ///< PackedWeights::weights
  uint64_t scales = 0;  ///< PackedWeights::scales
  uint64_t zeros = 0;   ///< PackedWeights::zeros; 0 when symmetric
  uint64_t groupOf = 0; ///< PackedWeights::groupOf; 0 unless ragged
  uint64_t perm = 0;    ///< PackedWeights::perm; 0 when the permutation is the identity
  uint64_t dense = 0;   ///< out: [N,K]
  int64_t n = 0, k = 0, paddedN = 0, paddedK = 0;
  int32_t bits = 0;
  int32_t parts = 1;
  int32_t paddedGroups = 0;
  int32_t paddedGroupSize = 0; ///< packed k per group; not read where groupOf is
  int32_t symZero = 0;
  int32_t outBf16 = 0, scaleBf16 = 0;
  int32_t reserved = 0;
};
static_assert(sizeof(DequantizePackedArgs) == 112);

/// read_floor.cu, read_floor: any grid and block.
struct ReadFloorArgs {
  uint64_t data = 0; ///< 16-byte aligned
  int64_t count = 0; ///< 16-byte units
  uint64_t sink = 0; ///< one 32-bit word
};
static_assert(sizeof(ReadFloorArgs) == 24);

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_SUPPORTARGS_H
