// Global to shared memory: the planes, scales and zero points of one k tile into one pipeline
// stage.
#ifndef GPTQC_TEMPLATES_COPY_WEIGHTS_CUH
#define GPTQC_TEMPLATES_COPY_WEIGHTS_CUH

#include "gptqc/ptx/cp_async.cuh"
#include "gptqc/tile.cuh"

namespace gptqc {

/// Bytes of the planes wider than `width` in the packed weights and in a stage.
template <typename layer, int width> GPTQC_DEVICE constexpr i64 plane_offset(i64 rows_times_k) {
  return rows_times_k / 8 * (layer::bits & ~(2 * width - 1));
}

/// stage[n_tiles][chunks of the k tile][32][16] of one plane. Chunks beyond the padded weights read
/// as zero.
template <typename layer, typename tile, int width>
GPTQC_DEVICE void copy_plane(u8 *stage, const linear_args &args, int block_n, int kt) {
  using s = shape<layer, tile>;
  constexpr int chunk_k = 256 / width;
  constexpr int chunks = tile::k / chunk_k; // of a row of tiles in the stage
  constexpr int layer_chunks = (int)(layer::padded_k / chunk_k);
  static_assert(tile::k % chunk_k == 0, "the k tile must hold whole chunks of every plane");
  u8 *to = stage + plane_offset<layer, width>((i64)tile::n * tile::k);
  const u8 *from = args.weights + plane_offset<layer, width>(layer::padded_n * layer::padded_k);
#pragma unroll 4
  for (int i = threadIdx.x; i < s::n_tiles * chunks * 32; i += s::threads) {
    const int t = i / (chunks * 32), c = i / 32 % chunks, lane = i % 32;
    const int chunk = kt * chunks + c;
    const bool valid = valid_n_tile<layer, tile>(block_n, t) && chunk < layer_chunks;
    const i64 at =
        valid ? ((i64)packed_n_tile<layer, tile>(block_n, t) * layer_chunks + chunk) * 32 + lane
              : 0;
    copy_async_16(to + i * 16, from + at * 16, valid ? 16 : 0);
  }
}

/// Starts the copies of all planes of k tile `kt` (shape::weight_bytes).
template <typename layer, typename tile>
GPTQC_DEVICE void copy_weights(u8 *stage, const linear_args &args, int block_n, int kt) {
  if constexpr (has_plane<layer::bits, 8>::value)
    copy_plane<layer, tile, 8>(stage, args, block_n, kt);
  if constexpr (has_plane<layer::bits, 4>::value)
    copy_plane<layer, tile, 4>(stage, args, block_n, kt);
  if constexpr (has_plane<layer::bits, 2>::value)
    copy_plane<layer, tile, 2>(stage, args, block_n, kt);
  if constexpr (has_plane<layer::bits, 1>::value)
    copy_plane<layer, tile, 1>(stage, args, block_n, kt);
}

/// Starts the copies of the scales ([n_tiles][scale_rows][16] u16) and, behind them, of the zero
/// points
/// ([n_tiles][scale_rows][16] u8) that k tile `kt` touches.
template <typename layer, typename tile>
GPTQC_DEVICE void copy_scales(u8 *stage, const linear_args &args, int block_n, int kt) {
  using s = shape<layer, tile>;
  constexpr int pieces = layer::sym ? 2 : 3; // of 16 bytes: two of scales, one of zero points
  for (int i = threadIdx.x; i < s::n_tiles * s::scale_rows * pieces; i += s::threads) {
    const int slot = i / pieces, piece = i % pieces;
    const int t = slot / s::scale_rows, row = slot % s::scale_rows;
    const int first = kt * s::steps;
    const int group =
        layer::ragged ? group_of_step<layer>(args, first + row)
                      : min_of(group_of_step<layer>(args, first) + row, layer::padded_groups - 1);
    const bool valid = valid_n_tile<layer, tile>(block_n, t);
    const i64 at =
        valid ? (i64)packed_n_tile<layer, tile>(block_n, t) * layer::padded_groups + group : 0;
    if (piece < 2)
      copy_async_16(stage + slot * 32 + piece * 16, args.scales + at * 16 + piece * 8,
                    valid ? 16 : 0);
    else
      copy_async_16(stage + s::scale_bytes + slot * 16, args.zeros + at * 16, valid ? 16 : 0);
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_COPY_WEIGHTS_CUH
