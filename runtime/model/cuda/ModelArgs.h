// The parameters of templates/support/model.cu, field by field; both sides assert the size.
// Pointers are device addresses, borrowed for the launch; the kernels say what each means to them.
#ifndef GPTQC_RUNTIME_MODEL_CUDA_MODELARGS_H
#define GPTQC_RUNTIME_MODEL_CUDA_MODELARGS_H

#include <cstdint>

namespace gptqc {

struct ModelArgs {
  uint64_t residual = 0; ///< [rows, columns] float
  uint64_t delta = 0;    ///< [rows, columns] 16-bit; 0: nothing to add
  uint64_t weight = 0;   ///< float; 0: ones
  uint64_t bias = 0;     ///< float; 0: none
  uint64_t x = 0;        ///< 16-bit, as all below
  uint64_t keys = 0;     ///< or the gate; 0: none
  uint64_t values = 0;
  uint64_t y = 0;
  uint64_t cosine = 0, sine = 0; ///< [positions, headDim / 2] float; 0: no rotation
  uint64_t targets = 0;          ///< [rows] int32, negative: none
  uint64_t losses = 0;           ///< [rows] float
  int64_t xStride = 0, kvStride = 0, yStride = 0;
  int64_t kvRows = 0;
  int64_t length = 0, keyCount = 0;
  int64_t window = 0; ///< 0: all keys before
  int32_t columns = 0;
  int32_t heads = 0, kvHeads = 0, headDim = 0;
  int32_t activation = 0; ///< 0: silu, 1: relu, 2: gelu, 3: gelu by tanh
  float epsilon = 0, scale = 0;
  int32_t layerNorm = 0; ///< else RMS norm
};
static_assert(sizeof(ModelArgs) == 184);

inline constexpr int kModelThreads = 128;     ///< of every kernel but norm
inline constexpr int kMostNormThreads = 1024; ///< of norm; whole warps
inline constexpr int64_t kAttentionTile = 64; ///< queries of a block, keys of a round

/// Dynamic shared memory of attend<dim>: three tiles.
constexpr int64_t attentionSharedBytes(int64_t dim) { return 3 * kAttentionTile * (dim + 8) * 2; }

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_CUDA_MODELARGS_H
