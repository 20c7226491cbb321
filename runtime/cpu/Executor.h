// Executor: runs a packed layer on the CPU, from the same bytes that the GPU kernels read. The path
// for machines without a GPU, and a check of the packer that shares no code with the device.
#ifndef GPTQC_RUNTIME_CPU_EXECUTOR_H
#define GPTQC_RUNTIME_CPU_EXECUTOR_H

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/WeightLayout.h"

namespace gptqc {

/// Takes every descriptor. Weights are dequantized to fp32 (exactly), products are summed in fp32.
class Executor {
public:
  /// Borrows `packed`, which must outlive the executor and not change. Fails when its vectors do
  /// not have the sizes that its layout promises. `expert` is the one to run of a grouped layer.
  static Result<Executor> create(const PackedWeights &packed, int64_t expert = 0);
  /// Executors of all experts; one for a plain layer.
  static Result<std::vector<Executor>> createAll(const PackedWeights &packed);

  /// Of the whole layer.
  const Descriptor &descriptor() const { return packed->descriptor; }

  /// Y = epilogue(X W + bias). x: [m, K] values of descriptor.act, row stride ldx >= K elements; y:
  /// [m, outputColumns] values of descriptor.out, row stride ldy; only those elements are written.
  /// Results do not depend on the number of threads (0: all of the machine), nor a row's on m. A
  /// NaN or infinity in X touches its own row only. m = 0 succeeds and does nothing. Thread-safe.
  Status run(const uint16_t *x, int64_t ldx, int64_t m, uint16_t *y, int64_t ldy,
             int threads = 0) const;

private:
  /// Where a code's bits lie inside a 512-byte chunk of a plane.
  struct Slot {
    uint16_t byte = 0;
    uint16_t bit = 0;
  };
  struct PlaneSlots {
    const uint8_t *base = nullptr;
    int64_t chunkK = 0; ///< packed k of one chunk
    int64_t chunks = 0; ///< chunks of one row tile
    int shift = 0;
    uint32_t mask = 0;
    std::vector<Slot> slots; ///< [chunkK][16]
  };
  struct Scratch;
  /// Where the arrays of this executor's expert begin.
  struct Begin {
    int64_t scale = 0, zero = 0, step = 0, bias = 0;
  };

  void gatherRows(const uint16_t *x, int64_t ldx, int64_t row, float *out) const;
  void unpackCodes(int64_t tile, int64_t kp, uint8_t *codes) const;
  int64_t dequantizeStep(int64_t tile, int64_t kp, Scratch &scratch) const;
  void accumulate(int64_t tile, const float *x, int64_t rows, Scratch &scratch, float *acc) const;
  void finishTile(int64_t tile, int64_t rows, const Scratch &scratch, uint16_t *y,
                  int64_t ldy) const;
  float biasAt(int64_t row) const;

  const PackedWeights *packed = nullptr;
  Begin begin;
  std::vector<PlaneSlots> planes;
  int64_t stepK = 0;                ///< packed k unpacked at a time: the widest chunk of the planes
  std::vector<uint8_t> valid;       ///< [Kp]: a column of X, not padding
  std::vector<int32_t> columns;     ///< [K]: source columns in packed order, padding left out
  std::vector<int64_t> firstColumn; ///< [Kp / stepK]: entries of `columns` before this step
};

/// Runs a grouped layer: expert e takes rows offsets[e]..offsets[e + 1] - 1 of X; rows of no expert
/// are left alone. InvalidArgument for offsets that are not as checkOffsets wants them, else as
/// run.
Status runExperts(std::span<const Executor> experts, std::span<const int32_t> offsets,
                  const uint16_t *x, int64_t ldx, int64_t rows, uint16_t *y, int64_t ldy,
                  int threads = 0);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_EXECUTOR_H
