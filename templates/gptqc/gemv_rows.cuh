// The gemv family with the warps of a block along rows (n_warps > 1; sm_90), for 8 tokens and more:
// each warp streams its own rows over its block's part of k, as in gemv.cuh, but X of that part
// lies in shared memory once for all of them, and a warp's sums are complete for the block's part
// of k. Where k has several parts (k_warps, the blocks of a cluster) rows_exchange.cuh adds them
// up. X arrives with the units of the first item, each warp's rows in one group of copies with its
// weights: no warp waits for another one but for a unit's X, once, and in the exchange.
#ifndef GPTQC_TEMPLATES_GEMV_ROWS_CUH
#define GPTQC_TEMPLATES_GEMV_ROWS_CUH

#include "gptqc/fragment.cuh"
#include "gptqc/predecessors.cuh"
#include "gptqc/rows_exchange.cuh"

namespace gptqc {

/// The columns of a k warp of the block's tokens in shared memory, [m][slice_units * tile::k] of 16
/// bits. Rows are 16 bytes longer, so that ldmatrix meets no bank conflict; those beyond the tokens
/// repeat the last one: columns of a product do not mix, and those are not stored.
template <typename layer, typename tile> struct x_share {
  using g = gemv_shape<layer, tile>;
  static constexpr int row_bytes = g::row_bytes + 16;
  static constexpr int bytes = tile::m * row_bytes; // of a k warp
  static constexpr bool has_single = g::m_tiles % 2 == 1;
  u8 *rows;
  const u8 *pair, *single; // where this lane reads of two m8 tiles, of one; moves with the unit
  mbarrier *full;          // [slice_units]: the unit's columns are there
  int ahead, ready;        // the unit to copy next; the first one that was not waited for

  explicit __device__ __forceinline__ x_share(u8 *shares)
      : rows(shares + place<tile>::k_warp() * bytes) {}

  __device__ __forceinline__ void start(const unit_range<layer, tile> &range, mbarrier *barriers) {
    full = barriers + place<tile>::k_warp() * g::slice_units - range.begin;
    ahead = ready = range.begin;
  }

  /// Starts (or, gathering, does) the copy of this warp's part of the next unit's columns; those
  /// beyond K become zero.
  template <bool gather>
  __device__ __forceinline__ void copy_next(const linear_args &args, int block_m,
                                            const unit_range<layer, tile> &range) {
    constexpr int pieces = tile::k / 8;
    if (ahead >= range.end)
      return;
    const int tokens = (int)min_of((i64)tile::m, (i64)args.m - (i64)block_m * tile::m);
    const u16 *x = args.x + (i64)block_m * tile::m * args.ldx;
    u8 *to = rows + (ahead - range.begin) * g::unit_row_bytes;
#pragma unroll
    for (int i = place<tile>::n_warp() * 32 + lane_id(); i < tile::m * pieces;
         i += tile::n_warps * 32) {
      const int row = i / pieces, piece = i % pieces;
      const u16 *from = x + min_of(row, tokens - 1) * args.ldx;
      const i64 k = (i64)ahead * tile::k + piece * 8;
      u8 *at = to + row * row_bytes + piece * 16;
      if constexpr (gather) {
        *(u32x4 *)at = gather_piece<layer>(args, from, k);
      } else if constexpr (layer::padded_k == layer::k) {
        copy_async_16(at, from + k, 16);
      } else {
        const int count = k < layer::k ? 16 : 0; // K is a multiple of 8 here
        copy_async_16(at, count ? from + k : args.x, count);
      }
    }
    ++ahead;
  }

  /// This warp's part of a unit's columns has landed.
  __device__ __forceinline__ void publish(int unit) const {
    if (unit >= ready && lane_id() == 0)
      mbarrier_arrive(full + unit);
  }
  /// Waits for the other warps' parts.
  __device__ __forceinline__ void await(int unit) {
    if (unit >= ready) {
      mbarrier_wait(full + unit, 0);
      ready = unit + 1;
    }
  }

  /// To the first unit of an item.
  __device__ __forceinline__ void rewind() {
    const int row = lane_id() % 8, matrix = lane_id() / 8;
    pair = rows + (matrix / 2 * 8 + row) * row_bytes + matrix % 2 * 16;
    single = rows + ((g::m_tiles - 1) * 8 + row) * row_bytes + matrix * 16;
  }
  __device__ __forceinline__ void advance() {
    pair += g::unit_row_bytes;
    single += g::unit_row_bytes;
  }

  /// b[s][j]: B fragment of step `step + s` of the unit, m8 tile j.
  template <int steps>
  __device__ __forceinline__ void load(u32 (&b)[steps][g::m_tiles][2], int step) const {
    u32 d[4];
#pragma unroll
    for (int s = 0; s < steps; ++s)
#pragma unroll
      for (int j = 0; j + 1 < g::m_tiles; j += 2) {
        ldmatrix_x4(d, pair + (step + s) * 32 + j * 8 * row_bytes);
        b[s][j][0] = d[0], b[s][j][1] = d[1], b[s][j + 1][0] = d[2], b[s][j + 1][1] = d[3];
      }
    if constexpr (has_single) {
      constexpr int j = g::m_tiles - 1;
      if constexpr (steps == 1) {
        ldmatrix_x2(b[0][j], single + step * 32);
      } else {
        ldmatrix_x4(d, single + step * 32); // one instruction loads two steps
        b[0][j][0] = d[0], b[0][j][1] = d[1], b[1][j][0] = d[2], b[1][j][1] = d[3];
      }
    }
  }
};

/// As weight_stream::next, of a unit whose columns of X are there as well.
template <bool gather, typename layer, typename tile>
GPTQC_DEVICE const u8 *next_rows(weight_stream<layer, tile> &stream, x_share<layer, tile> &share,
                                 const linear_args &args, int unit, int block_m) {
  wait_copies<tile::stages - 2>();
  warp_barrier();
  share.publish(unit);
  stream.copy_next(args);
  share.template copy_next<gather>(args, block_m, stream.range);
  commit_copies();
  share.await(unit);
  return stream.read();
}

/// Starts a warp: weights into all slots of its ring but one, and X with them, which may come late:
/// behind the first weights. A warp without items brings its part of X all the same.
template <bool gather, typename layer, typename tile>
GPTQC_DEVICE void start_rows(weight_stream<layer, tile> &stream, x_share<layer, tile> &share,
                             rows_exchange<layer, tile> &exchange, const linear_args &args,
                             int block_m) {
  exchange.initialize(); // in front of the copies: fences wait for them
  share.start(stream.range, exchange.full);
  stream.copy_next(args);
  await_predecessors();
  share.template copy_next<gather>(args, block_m, stream.range);
  commit_copies();
#pragma unroll 1
  for (int i = 2; i < tile::stages; ++i) {
    stream.copy_next(args);
    share.template copy_next<gather>(args, block_m, stream.range);
    commit_copies();
  }
  if constexpr (tile::split_k > 1)
    cluster_wait();
  if (stream.first_item() >= gemv_shape<layer, tile>::items)
#pragma unroll 1
    for (int unit = stream.range.begin; unit < stream.range.end; ++unit)
      next_rows<gather>(stream, share, args, unit, block_m);
}

/// acc[t][j] += scale * ((code - zero) x) over `steps` steps of a unit that share a scale row, for
/// all n16 tiles t of the warp: as accumulate_unit, but X is loaded two steps at a time, since more
/// tokens leave no registers for all of it.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE void accumulate_rows(float (&acc)[unit_tile<tile>::n / 16][tile::m / 8][4],
                                  const x_share<layer, tile> &share, const u8 *slot, int unit,
                                  int step) {
  using g = gemv_shape<layer, tile>;
  using u = unit_tile<tile>;
  constexpr int pair = steps > 1 ? 2 : 1;
  const u8 *scale_rows = slot + g::unit::weight_bytes;
  const int row = scale_row<layer, u>(unit, step);
  weight_words<layer::bits, steps> words[g::n_tiles];
  zero_addends<layer::bits> zeros[g::n_tiles];
  float partial[g::n_tiles][g::m_tiles][4] = {};
#pragma unroll
  for (int t = 0; t < g::n_tiles; ++t) {
    load_weights<layer, u, steps>(words[t], slot, t, step);
    zeros[t] = load_zeros<layer, u>(scale_rows, t, row);
  }
#pragma unroll
  for (int s = 0; s < steps; s += pair) {
    u32 b[pair][g::m_tiles][2];
    share.template load<pair>(b, step + s);
#pragma unroll
    for (int i = 0; i < pair; ++i)
#pragma unroll
      for (int t = 0; t < g::n_tiles; ++t) {
        u32 a[4];
        dequantize<layer::bits, typename layer::act, steps>(a, words[t], zeros[t], step, s + i);
#pragma unroll
        for (int j = 0; j < g::m_tiles; ++j)
          layer::act::mma(partial[t][j], a, b[i][j]);
      }
  }
#pragma unroll
  for (int t = 0; t < g::n_tiles; ++t) {
    float scales[2];
    load_scales<layer, u>(scales, scale_rows, t, row);
#pragma unroll
    for (int j = 0; j < g::m_tiles; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        acc[t][j][i] += scales[i / 2] * partial[t][j][i];
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_GEMV_ROWS_CUH
