// Global to shared memory: the activations of one k tile, [tile::m][tile::k], into one pipeline
// stage. Rows beyond M and columns beyond K are zero. The 16-byte pieces of a row are xor-swizzled
// by the row, so that ldmatrix meets no bank conflict.
#ifndef GPTQC_TEMPLATES_COPY_ACTIVATIONS_CUH
#define GPTQC_TEMPLATES_COPY_ACTIVATIONS_CUH

#include "gptqc/ptx/cp_async.cuh"
#include "gptqc/tile.cuh"

namespace gptqc {

/// Byte offset of 16-byte piece `piece` of row `row` in an X stage.
template <typename tile> GPTQC_DEVICE int x_offset(int row, int piece) {
  static_assert(tile::k % 64 == 0, "a row of the X stage must hold whole groups of 8 pieces");
  return row * (tile::k * 2) + (piece ^ (row & 7)) * 16;
}

/// Rows of X in 16-byte asynchronous copies; X and its row stride are 16-byte aligned, and K is a
/// multiple of 8.
template <typename layer, typename tile>
GPTQC_DEVICE void copy_activations(u8 *stage, const linear_args &args, int block_m, int kt) {
  constexpr int pieces = tile::k / 8;
#pragma unroll 4
  for (int i = threadIdx.x; i < tile::m * pieces; i += shape<layer, tile>::threads) {
    const int row = i / pieces, piece = i % pieces;
    const i64 m = (i64)block_m * tile::m + row;
    const i64 k = (i64)kt * tile::k + piece * 8;
    const int bytes = m < args.m && k < layer::k ? 16 : 0;
    copy_async_16(stage + x_offset<tile>(row, piece), bytes ? args.x + m * args.ldx + k : args.x,
                  bytes);
  }
}

/// Eight columns of packed k from `k` on, element by element: through the permutation when the
/// layer has one, zero beyond K.
template <typename layer>
GPTQC_DEVICE u32x4 gather_piece(const linear_args &args, const u16 *x, i64 k) {
  u32 pairs[4] = {0, 0, 0, 0};
  u32x4 from[2] = {}; // eight columns, or -1, when permuted
  const bool permuted = layer::permuted && args.perm;
  if (permuted && k < layer::padded_k)
    from[0] = *(const u32x4 *)(args.perm + k), from[1] = *(const u32x4 *)(args.perm + k + 4);
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    i64 column = k + j < layer::k ? k + j : -1;
    if (permuted)
      column = k < layer::padded_k ? (int)(&from[j / 4].x)[j % 4] : -1;
    const u32 bits = column >= 0 ? x[column] : 0;
    pairs[j / 2] |= bits << (16 * (j & 1));
  }
  return {pairs[0], pairs[1], pairs[2], pairs[3]};
}

/// Element loads: for act-order, and for X whose base or row stride is not 16-byte aligned. The
/// block barrier publishes the stores.
template <typename layer, typename tile>
GPTQC_DEVICE void gather_activations(u8 *stage, const linear_args &args, int block_m, int kt) {
  constexpr int pieces = tile::k / 8;
  for (int i = threadIdx.x; i < tile::m * pieces; i += shape<layer, tile>::threads) {
    const int row = i / pieces, piece = i % pieces;
    const i64 m = (i64)block_m * tile::m + row;
    u32x4 value = {0, 0, 0, 0};
    if (m < args.m)
      value = gather_piece<layer>(args, args.x + m * args.ldx, (i64)kt * tile::k + piece * 8);
    *(u32x4 *)(stage + x_offset<tile>(row, piece)) = value;
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_COPY_ACTIVATIONS_CUH
