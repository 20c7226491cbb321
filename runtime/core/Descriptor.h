// Descriptor: what to compute. A value type with one text form, used in the IR attribute, tuning
// records, log lines, bench inputs and the banner of the emitted kernel, so that any log line is a
// reproduction.
#ifndef GPTQC_RUNTIME_CORE_DESCRIPTOR_H
#define GPTQC_RUNTIME_CORE_DESCRIPTOR_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

enum class DType { F16, BF16 };

/// "f16" or "bf16".
std::string_view dtypeName(DType type);

/// An inclusive range of token counts; `kUnboundedM` as `hi` means no upper limit.
struct MRange {
  int64_t lo = 1;
  int64_t hi = 1;
  bool operator==(const MRange &) const = default;
};
inline constexpr int64_t kUnboundedM = INT64_MAX;

/// Most experts of a grouped layer: the lanes of a warp count the rows of 16 each.
inline constexpr int kMaxExperts = 512;

/// Y[M,N] = epilogue(X[M,K] * W[K,N] + bias), W[k,n] = scale[g(k),n] * (code[k,n] - zero[g(k),n]).
struct Descriptor {
  int bits = 4;            ///< 2..8
  int64_t groupSize = 128; ///< input columns that share a scale; -1: all of K (canonical when >= K)
  bool sym = true;         ///< zero point is 2^(bits-1) everywhere
  bool actOrder = false;   ///< g(k) comes from g_idx; groups are gathered, X is permuted
  bool ragged = false;     ///< groups of differing lengths: a per-k16 table replaces k / groupSize
  DType act = DType::F16;  ///< X and bias
  DType out = DType::F16;  ///< Y
  DType scales = DType::F16; ///< as stored in the checkpoint, kept bit-exact
  int64_t n = 0;             ///< rows of W^T (output features; gate + up rows for silu_mul)
  int64_t k = 0;             ///< input features
  int experts = 1; ///< 2..512: a grouped layer, so many of this shape; M counts the rows of
                   ///< all, which come sorted by expert
  MRange m;        ///< token counts that the kernel must accept
  bool bias = false;
  bool siluMul = false;        ///< rows 0..N/2-1 are gate, the rest up: Y[M,N/2] = silu(gate) * up
  bool batchInvariant = false; ///< a row's result does not depend on M

  bool operator==(const Descriptor &) const = default;

  /// Parses `w4 g128 sym f16->f16 n4096 k4096 m9..16`, tokens in the documented order, one space
  /// apart. The result is validated.
  static Result<Descriptor> parse(std::string_view text);

  /// The one text form; parse(print()) gives the same value back.
  std::string print() const;

  /// Says why the descriptor is no valid GPTQ layer, and what to change.
  Status validate() const;

  /// The same computation in its canonical spelling (group size >= K becomes -1).
  Descriptor canonical() const;

  int64_t outputColumns() const { return siluMul ? n / 2 : n; }
  bool grouped() const { return experts > 1; }
  int64_t effectiveGroupSize() const { return groupSize < 0 || groupSize > k ? k : groupSize; }
  /// ceil(K / group size): rows of the scale and zero tensors in a checkpoint. Not for ragged
  /// layers.
  int64_t groupCount() const { return (k + effectiveGroupSize() - 1) / effectiveGroupSize(); }
  int maxCode() const { return (1 << bits) - 1; }
  int symZero() const { return 1 << (bits - 1); }
};

/// The tuning bucket that holds m >= 1: 1, 2, 3-4, 5-8, ... doubling to 4097-8192; then 8193 and
/// up.
MRange bucketFor(int64_t m);

/// All buckets in increasing order.
std::vector<MRange> allBuckets();

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_DESCRIPTOR_H
