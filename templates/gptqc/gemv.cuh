// The gemv family: few tokens, so the time is that of reading the weights. Every streaming warp has
// its own slice of k, streams the weights of that slice through a private ring of asynchronous
// copies, and keeps that slice of X in shared memory for the whole launch: it waits for no other
// warp. The streaming warps post the sums of each item to the reducing warps, which add them up in
// order and store Y while the stream runs on.
//
// The tile has more facts here: stages, x_rows (the most tokens that the descriptor's M range puts
// into a block; tile::m rounds it up to whole fragments) and reduce_warps.
//
// Terms: a *unit* is what one ring slot holds, tile::k columns of tile::n rows with their scales;
// an *item* is one row tile of the block; a block walks over its items in steps of the grid.
#ifndef GPTQC_TEMPLATES_GEMV_CUH
#define GPTQC_TEMPLATES_GEMV_CUH

#include "gptqc/epilogue.cuh"
#include "gptqc/fragment.cuh"
#include "gptqc/predecessors.cuh"
#include "gptqc/ptx/mbarrier.cuh"
#include "gptqc/ptx/prefetch.cuh"
#include "gptqc/weight_stream.cuh"

namespace gptqc {

/// This warp's columns of the block's tokens in shared memory, [x_rows][slice_units * tile::k], the
/// 16-byte pieces of a row xor-swizzled by the row.
template <typename layer, typename tile> struct x_slice {
  using g = gemv_shape<layer, tile>;
  u8 *rows;
  int tokens;                  // of this block, 1 .. x_rows
  const u8 *at[g::m_tiles][2]; // where this lane reads in even and odd pairs of steps

  __device__ __forceinline__ x_slice(u8 *slices, const linear_args &args, int block_m)
      : rows(slices + warp_id() * g::slice_bytes),
        tokens((int)min_of((i64)tile::x_rows, (i64)args.m - (i64)block_m * tile::m)) {}

  /// Starts (or, gathering, does) the copy of the slice. A lane has every 32nd piece of a row,
  /// which lies at the same place in its 512 bytes on both sides but for the swizzle.
  template <bool gather>
  __device__ __forceinline__ void copy(const linear_args &args, int block_m,
                                       const unit_range<layer, tile> &range) {
    const int lane = lane_id();
    const int first_k = range.begin * tile::k;
    const int pieces = (range.end - range.begin) * (tile::k / 8);
    const u16 *x = args.x + (i64)block_m * tile::m * args.ldx + first_k + lane * 8;
    u8 *row_at = rows;
#pragma unroll 1
    for (int row = 0; row < tokens; ++row, x += args.ldx, row_at += g::row_bytes) {
      u8 *to = row_at + (lane ^ (row & 7)) * 16;
      if constexpr (gather) {
        const u16 *x_row = args.x + ((i64)block_m * tile::m + row) * args.ldx;
#pragma unroll 2
        for (int i = 0; i < pieces - lane; i += 32)
          *(u32x4 *)(to + i * 16) = gather_piece<layer>(args, x_row, first_k + (lane + i) * 8);
      } else {
#pragma unroll 2
        for (int i = 0; i < pieces - lane; i += 32) {
          if constexpr (layer::padded_k == layer::k) {
            copy_async_16(to + i * 16, x + i * 8, 16);
          } else {
            const int bytes = first_k + (lane + i) * 8 < layer::k ? 16 : 0; // K is a multiple of 8
            copy_async_16(to + i * 16, bytes ? x + i * 8 : args.x, bytes);
          }
        }
      }
    }
  }

  /// The permutation's part, in front of the weights: behind them it would wait for memory.
  __device__ __forceinline__ void prefetch_permutation(const linear_args &args,
                                                       const unit_range<layer, tile> &range) const {
    constexpr int line = 128 / 4; // columns
    if (args.perm)
      for (int k = range.begin * tile::k + lane_id() * line; k < range.end * tile::k;
           k += 32 * line)
        prefetch_l2(args.perm + k);
  }

  /// To the first unit of an item. Rows beyond the tokens read the last one: columns
  /// of a product do not mix, and those are not stored.
  __device__ __forceinline__ void rewind() {
    const int row_in_tile = lane_id() % 8, matrix = lane_id() / 8;
#pragma unroll
    for (int j = 0; j < g::m_tiles; ++j) {
      const int row = min_of(j * 8 + row_in_tile, tokens - 1);
#pragma unroll
      for (int odd = 0; odd < 2; ++odd)
        at[j][odd] = rows + row * g::row_bytes + ((matrix + 4 * odd) ^ (row & 7)) * 16;
    }
  }
  __device__ __forceinline__ void advance() {
#pragma unroll
    for (int j = 0; j < g::m_tiles; ++j)
#pragma unroll
      for (int odd = 0; odd < 2; ++odd)
        at[j][odd] += g::unit_row_bytes;
  }
  /// b[s][j]: B fragment of step `step + s` of the unit, m8 tile j; `step` is a multiple of
  /// `steps`.
  template <int steps>
  __device__ __forceinline__ void load(u32 (&b)[steps][g::m_tiles][2], int step) const {
#pragma unroll
    for (int j = 0; j < g::m_tiles; ++j) {
      if constexpr (steps == 1) {
        // Matrices 0 and 1 are the step's, so odd steps start at piece 2 of their pair.
        const int place = (int)(at[j][step >> 1 & 1] - rows) ^ (step & 1) * 32;
        ldmatrix_x2(b[0][j], rows + place + (step >> 2) * 128);
      } else {
#pragma unroll
        for (int s = 0; s < steps; s += 2) { // one instruction loads two steps
          u32 d[4];
          ldmatrix_x4(d, at[j][(step + s) >> 1 & 1] + ((step + s) >> 2) * 128);
          b[s][j][0] = d[0], b[s][j][1] = d[1], b[s + 1][j][0] = d[2], b[s + 1][j][1] = d[3];
        }
      }
    }
  }
};

/// Starts a streaming warp: weights into all slots of its ring but one, and its slice of X. The
/// first weights come first: nothing that they need is computed, and no other kernel writes them.
template <bool gather, typename layer, typename tile>
GPTQC_DEVICE void start_streaming(weight_stream<layer, tile> &stream, x_slice<layer, tile> &slice,
                                  const linear_args &args, int block_m) {
  // X may come late: let it wait with all copies in flight. Clusters, which have a part of X each,
  // are faster with this order at all times.
  if (gather || tile::split_k > 1 || args.overlaps) {
    if constexpr (gather && layer::permuted)
      slice.prefetch_permutation(args, stream.range);
    stream.template run_ahead<tile::stages - 1>(args);
    await_predecessors();
    slice.template copy<gather>(args, block_m, stream.range);
    if constexpr (!gather) { // behind the weights, which have had the time of the kernel in front
      commit_copies();
      if constexpr (tile::stages > 2) // with two, every unit waits for all copies
        wait_copies<0>();
    }
  } else { // X arrives with the first unit
    stream.copy_next(args);
    await_predecessors();
    slice.template copy<false>(args, block_m, stream.range);
    commit_copies();
    stream.template run_ahead<tile::stages - 2>(args);
  }
}

/// acc[t][j] += scale * ((code - zero) x) over a chunk of steps of a unit that share a scale row,
/// for all n16 tiles t of the unit.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE void accumulate_unit(float (&acc)[tile::n / 16][tile::m / 8][4],
                                  const u32 (&b)[steps][tile::m / 8][2], const u8 *slot, int unit,
                                  int step) {
  using g = gemv_shape<layer, tile>;
  using u = unit_tile<tile>;
  const u8 *scale_rows = slot + g::unit::weight_bytes;
  const int row = scale_row<layer, u>(unit, step);
  weight_words<layer::bits, steps> words[g::n_tiles];
  zero_addends<layer::bits> zeros[g::n_tiles];
  float scales[g::n_tiles][2], partial[g::n_tiles][g::m_tiles][4] = {};
#pragma unroll
  for (int t = 0; t < g::n_tiles; ++t) {
    load_weights<layer, u, steps>(words[t], slot, t, step);
    load_scales<layer, u>(scales[t], scale_rows, t, row);
    zeros[t] = load_zeros<layer, u>(scale_rows, t, row);
  }
#pragma unroll
  for (int s = 0; s < steps; ++s) {
#pragma unroll
    for (int t = 0; t < g::n_tiles; ++t) { // products of different tiles do not wait for each other
      u32 a[4];
      dequantize<layer::bits, typename layer::act, steps>(a, words[t], zeros[t], step, s);
#pragma unroll
      for (int j = 0; j < g::m_tiles; ++j)
        layer::act::mma(partial[t][j], a, b[s][j]);
    }
  }
#pragma unroll
  for (int t = 0; t < g::n_tiles; ++t)
#pragma unroll
    for (int j = 0; j < g::m_tiles; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        acc[t][j][i] += scales[t][i / 2] * partial[t][j][i];
}

/// Hands the sums of items from the streaming to the reducing warps: two buffers
/// [k_warps][m][sums_stride], each with a barrier "posted" (the k warps have written) and a barrier
/// "taken" (the reducing warps have read).
template <typename layer, typename tile> struct sums_mailbox {
  using g = gemv_shape<layer, tile>;
  float *buffers;
  mbarrier *posted, *taken; // [2]
  int count;                // items so far

  __device__ __forceinline__ sums_mailbox(float *sums)
      : buffers(sums), posted((mbarrier *)(sums + 2 * g::sums_floats)), taken(posted + 2),
        count(0) {}

  /// By the first reducing thread; a block barrier must follow.
  __device__ __forceinline__ void initialize() {
    if (threadIdx.x != tile::k_warps * 32)
      return;
    for (int i = 0; i < 2; ++i) {
      mbarrier_init(posted + i, tile::k_warps);
      mbarrier_init(taken + i, tile::reduce_warps);
    }
  }

  __device__ __forceinline__ void post(const float (&acc)[g::n_tiles][g::m_tiles][4]) {
    const int buffer = count & 1;
    if (count >= 2)
      mbarrier_wait(taken + buffer, (count / 2 - 1) & 1);
    float *slice = buffers + buffer * g::sums_floats + warp_id() * (tile::m * g::sums_stride);
    const int r = lane_id() / 4, c = lane_id() % 4 * 2;
#pragma unroll
    for (int t = 0; t < g::n_tiles; ++t)
#pragma unroll
      for (int j = 0; j < g::m_tiles; ++j) {
        float *to = slice + (j * 8 + c) * g::sums_stride + t * 16 + r;
        to[0] = acc[t][j][0];
        to[g::sums_stride] = acc[t][j][1];
        to[8] = acc[t][j][2];
        to[g::sums_stride + 8] = acc[t][j][3];
      }
    warp_barrier();
    if (lane_id() == 0)
      mbarrier_arrive(posted + buffer);
    ++count;
  }

  /// The sums of the next item, once all k warps have posted them.
  __device__ __forceinline__ const float *take() {
    const int buffer = count & 1;
    mbarrier_wait(posted + buffer, (count / 2) & 1);
    return buffers + buffer * g::sums_floats;
  }
  __device__ __forceinline__ void give_back() {
    warp_barrier();
    if (lane_id() == 0)
      mbarrier_arrive(taken + (count & 1));
    ++count;
  }
};

/// One output of an item: the k warps' sums of row c for token m, added up in order.
template <typename layer, typename tile>
GPTQC_DEVICE float sum_of_warps(const float *sums, int m, int c) {
  using g = gemv_shape<layer, tile>;
  float sum = sums[m * g::sums_stride + c];
#pragma unroll
  for (int k = 1; k < tile::k_warps; ++k)
    sum += sums[(k * tile::m + m) * g::sums_stride + c];
  return sum;
}

/// Stores an item from total(m, c), the sum of row c for token m; gate and up rows, bias and tails
/// as in store_tile. All reducing threads share the work.
template <typename layer, typename tile, typename sum>
GPTQC_DEVICE void store_item(const linear_args &args, int item, int block_m, const sum &total) {
  constexpr int columns = tile::n / layer::parts;
  const int rows = (int)min_of((i64)tile::m, (i64)args.m - (i64)block_m * tile::m);
  for (int i = threadIdx.x - tile::k_warps * 32; i < rows * columns; i += tile::reduce_warps * 32) {
    const int m = i / columns, c = i % columns;
    const i64 column = (i64)item * columns + c;
    if (column >= layer::n / layer::parts)
      continue;
    const float up = layer::parts == 2 ? total(m, c + columns) : 0.0f;
    args.y[((i64)block_m * tile::m + m) * args.ldy + column] =
        layer::out::from_float(finish_element<layer>(args, total(m, c), up, column));
  }
}

/// Adds the k warps' sums up, in order, and stores the item.
template <typename layer, typename tile>
GPTQC_DEVICE void reduce_and_store(const linear_args &args, const float *sums, int item,
                                   int block_m) {
  store_item<layer, tile>(args, item, block_m,
                          [&](int m, int c) { return sum_of_warps<layer, tile>(sums, m, c); });
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_GEMV_CUH
