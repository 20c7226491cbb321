// The compile-time facts of a kernel, from two structs that the emitter prints:
//
//   struct layer { bits, sym, ragged, permuted, parts, experts, n, k, padded_n, padded_k,
//                  padded_groups, group_steps (k16 steps per packed group, 0 when ragged), act,
//                  out, scale, bias
//                  };
//   struct tile  { n, m, k, n_warps, m_warps, k_warps, stages, split_k, x_vector,
//                  flush_steps (k16 steps between two applications of the scales) };
//
// and where a thread stands in the block.
#ifndef GPTQC_TEMPLATES_TILE_CUH
#define GPTQC_TEMPLATES_TILE_CUH

#include "gptqc/args.cuh"
#include "gptqc/ptx/block.cuh"
#include "gptqc/types.cuh"
#include "gptqc/unpack.cuh"

namespace gptqc {

template <typename layer, typename tile> struct shape {
  static constexpr int threads = tile::n_warps * tile::m_warps * tile::k_warps * 32;
  static constexpr int steps = tile::k / 16;                   // k16 steps of a stage
  static constexpr int warp_steps = steps / tile::k_warps;     // of a warp in a stage
  static constexpr int n_tiles = tile::n / 16;                 // n16 tiles of the block
  static constexpr int warp_n_tiles = n_tiles / tile::n_warps; // of a warp
  static constexpr int m_tiles = tile::m / 8 / tile::m_warps;  // m8 tiles of a warp
  static constexpr int k_tiles = (int)((layer::padded_k + tile::k - 1) / tile::k);

  /// Rows of scales that one stage may touch.
  static constexpr int scale_rows = layer::ragged                     ? steps
                                    : layer::group_steps % steps == 0 ? 1
                                    : steps % layer::group_steps == 0
                                        ? steps / layer::group_steps
                                        : (steps + layer::group_steps - 2) / layer::group_steps + 1;

  static constexpr int weight_bytes = tile::n * tile::k * layer::bits / 8; // of a stage
  static constexpr int scale_bytes = n_tiles * scale_rows * 32;
  static constexpr int zero_bytes = layer::sym ? 0 : n_tiles * scale_rows * 16;
  static constexpr int x_bytes = tile::m * tile::k * 2;
  static constexpr int reduce_stride =
      tile::n + 4; // floats; keeps the fragment stores conflict-free
  static constexpr int reduce_bytes = tile::k_warps * tile::m * reduce_stride * 4;

  static constexpr i64 columns = layer::n / layer::parts; // of Y
  static constexpr int tile_columns = tile::n / layer::parts;
};

/// A thread's place: warp = (k * m_warps + m) * n_warps + n.
template <typename tile> struct place {
  static __device__ __forceinline__ int n_warp() { return warp_id() % tile::n_warps; }
  static __device__ __forceinline__ int m_warp() {
    return warp_id() / tile::n_warps % tile::m_warps;
  }
  static __device__ __forceinline__ int k_warp() {
    return tile::k_warps == 1 ? 0 : warp_id() / (tile::n_warps * tile::m_warps);
  }
};

/// Packed n16 tile of the block's local tile `t`: with two parts the first half of the local tiles
/// is gate, the second half the matching up rows. May lie beyond the padded rows: see valid_n_tile.
template <typename layer, typename tile> GPTQC_DEVICE int packed_n_tile(int block_n, int t) {
  constexpr int per_part = shape<layer, tile>::n_tiles / layer::parts;
  constexpr int part_tiles = (int)(layer::padded_n / layer::parts / 16);
  return t / per_part * part_tiles + block_n * per_part + t % per_part;
}
template <typename layer, typename tile> GPTQC_DEVICE bool valid_n_tile(int block_n, int t) {
  constexpr int per_part = shape<layer, tile>::n_tiles / layer::parts;
  constexpr int part_tiles = (int)(layer::padded_n / layer::parts / 16);
  return block_n * per_part + t % per_part < part_tiles;
}

/// First and last (exclusive) k tile of a split; an even partition in whole tiles.
template <typename layer, typename tile> GPTQC_DEVICE int first_k_tile(int split) {
  constexpr int tiles = shape<layer, tile>::k_tiles, share = ceil_div(tiles, tile::split_k);
  return min_of(split * share, tiles);
}
template <typename layer, typename tile> GPTQC_DEVICE int last_k_tile(int split) {
  return first_k_tile<layer, tile>(split + 1);
}

/// Packed group of an absolute k16 step.
template <typename layer> GPTQC_DEVICE int group_of_step(const linear_args &args, int step) {
  if constexpr (layer::ragged)
    return step < layer::padded_k / 16 ? args.group_of[step] : layer::padded_groups - 1;
  else
    return min_of(step / layer::group_steps, layer::padded_groups - 1);
}

/// Row in a stage's scales of step `step` of k tile `kt`.
template <typename layer, typename tile> GPTQC_DEVICE int scale_row(int kt, int step) {
  constexpr int steps = shape<layer, tile>::steps;
  if constexpr (layer::ragged)
    return step;
  else if constexpr (layer::group_steps % steps == 0)
    return 0;
  else if constexpr (steps % layer::group_steps == 0)
    return step / layer::group_steps;
  else
    return (kt * steps + step) / layer::group_steps - kt * steps / layer::group_steps;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_TILE_CUH
