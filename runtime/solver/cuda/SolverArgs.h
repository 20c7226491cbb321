// The parameters of templates/support/solver.cu, field by field; both sides assert the size.
// Pointers are device addresses, borrowed for the launch.
#ifndef GPTQC_RUNTIME_SOLVER_CUDA_SOLVERARGS_H
#define GPTQC_RUNTIME_SOLVER_CUDA_SOLVERARGS_H

#include <cstdint>

namespace gptqc {

struct SolverArgs {
  uint64_t hessian = 0;   ///< [K,K], of which the lower triangle counts
  uint64_t column = 0;    ///< [K] int32, of a position
  uint64_t group = 0;     ///< [K] int32, of a position
  uint64_t byGroup = 0;   ///< [K] int32, positions group by group
  uint64_t starts = 0;    ///< [G+1] int32
  uint64_t diagonal = 0;  ///< [K] by column
  uint64_t upper = 0;     ///< [K,K]
  uint64_t source = 0;    ///< [N,K] as W came
  uint64_t weights = 0;   ///< [N,K] by position
  uint64_t errors = 0;    ///< [N,128]
  uint64_t codes = 0;     ///< [K,N] uint8
  uint64_t scales = 0;    ///< [G,N] float
  uint64_t zeros = 0;     ///< [G,N] uint8
  uint64_t loss = 0;      ///< [N] float
  uint64_t samples = 0;   ///< [2*sampled,K]
  uint64_t quantized = 0; ///< [N,K] 16-bit, by column
  uint64_t rejected = 0;  ///< one uint32
  int64_t n = 0, k = 0;
  int64_t begin = 0; ///< first position of a block, or first group
  int32_t columns = 0;
  int32_t sourceType = 0; ///< 0: f32, 1: f16, 2: bf16
  int32_t maxCode = 0;
  int32_t sym = 0, mse = 0, stored = 0, zeroFromOne = 0;
  float mean = 0, extra = 0;
  float scale = 1; ///< of the Hessian
  float limit = 0; ///< largest weight
  int32_t sampled = 0;
  int32_t quantizedType = 0; ///< as sourceType
  int32_t reserved = 0;
};
static_assert(sizeof(SolverArgs) == 216);

/// Dynamic shared memory of damp_hessian and write_quantized: a tile of floats.
inline constexpr int64_t kTileSharedBytes = 32 * 33 * 4;

/// Dynamic shared memory of quantize_columns.
inline constexpr int64_t kQuantizeSharedBytes = (128 * 128 + 128) * 4;

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_CUDA_SOLVERARGS_H
