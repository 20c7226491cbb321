// The gemv family: few tokens, so the time is that of reading the weights. Every warp streams its
// own slice of k through a private ring of asynchronous copies and never waits for another warp
// while it does; X lies in shared memory for the whole launch; a block walks over row tiles and the
// ring runs on across them.
//
// The tile has one more fact here: x_rows, the most tokens that the descriptor's M range puts into
// a block (tile::m rounds it up to whole fragments).
//
// Terms: a *unit* is what one ring slot holds, tile::k columns of one n16 tile with their scales;
// an *item* is one row tile of the block (tile::n rows); a block takes items blockIdx.x, +
// gridDim.x, ...
#ifndef GPTQC_TEMPLATES_GEMV_CUH
#define GPTQC_TEMPLATES_GEMV_CUH

#include "gptqc/epilogue.cuh"
#include "gptqc/fragment.cuh"
#include "gptqc/ptx/warp.cuh"

namespace gptqc {

/// The tile of one warp's unit, in the terms of tile.cuh.
template <typename tile> struct unit_tile {
  static constexpr int n = 16, m = tile::m, k = tile::k;
  static constexpr int n_warps = 1, m_warps = 1, k_warps = 1, split_k = 1;
};

template <typename layer, typename tile> struct gemv_shape {
  using unit = shape<layer, unit_tile<tile>>;
  static constexpr int threads = tile::n_warps * tile::k_warps * 32;
  static constexpr int units = unit::k_tiles;                        // of all of k
  static constexpr int split_units = ceil_div(units, tile::split_k); // of one split
  static constexpr int slot_bytes = unit::weight_bytes + unit::scale_bytes + unit::zero_bytes;
  static constexpr int ring_bytes = tile::n_warps * tile::k_warps * tile::stages * slot_bytes;
  static constexpr int unit_row_bytes = tile::k * 2; // of a row of X
  static constexpr int row_bytes = split_units * unit_row_bytes;
  static constexpr int x_bytes = tile::x_rows * row_bytes + unit_row_bytes; // and a unit of zeros
  static constexpr int reduce_stride = tile::n + 4;                         // floats
  static constexpr int reduce_floats = tile::k_warps * tile::m * reduce_stride;
  static constexpr int tiles_per_part = tile::n / 16 / layer::parts; // n16 tiles of an item
  static constexpr int part_tiles = (int)(layer::padded_n / layer::parts / 16);
  static constexpr int items = part_tiles / tiles_per_part;
  static_assert(part_tiles % tiles_per_part == 0, "items must be whole");
  static_assert(layer::padded_k % tile::k == 0, "units must be whole");
  static_assert(tile::k % 64 == 0, "the swizzle of X works on groups of 8 pieces");
};

template <typename layer, typename tile> GPTQC_DEVICE int first_unit(int split) {
  using g = gemv_shape<layer, tile>;
  return min_of(split * g::split_units, g::units);
}

/// A lane's running source addresses in one plane: it copies 16 bytes of each chunk.
template <typename layer, typename tile, int width> struct plane_cursor {
  static constexpr int chunk_k = 256 / width, chunks = tile::k / chunk_k;
  static constexpr i64 tile_bytes = layer::padded_k / chunk_k * 512; // of one n16 tile
  const u8 *from;

  __device__ __forceinline__ void seek(const linear_args &args, int n_tile, int unit) {
    from = args.weights + plane_offset<layer, width>(layer::padded_n * layer::padded_k) +
           n_tile * tile_bytes + (i64)unit * (chunks * 512) + lane_id() * 16;
  }
  __device__ __forceinline__ void copy_and_advance(u8 *slot, int bytes) {
    u8 *to = slot + plane_offset<layer, width>((i64)16 * tile::k) + lane_id() * 16;
#pragma unroll
    for (int c = 0; c < chunks; ++c)
      copy_async_16(to + c * 512, from + c * 512, bytes);
    from += chunks * 512; // units of a slice follow each other in memory
  }
};

/// A width that the layer has no plane of.
struct no_plane {
  __device__ __forceinline__ void seek(const linear_args &, int, int) {}
  __device__ __forceinline__ void copy_and_advance(u8 *, int) {}
};
template <bool present, typename cursor> struct cursor_if {
  using type = cursor;
};
template <typename cursor> struct cursor_if<false, cursor> {
  using type = no_plane;
};

/// A warp's stream of units: its k slice [begin, end) of every item of the block, in order, through
/// a private ring. Lanes share only scales and zero points, so a warp barrier is all that a slot
/// needs.
template <typename layer, typename tile> struct weight_stream {
  using g = gemv_shape<layer, tile>;
  template <int width>
  using cursor = typename cursor_if<has_plane<layer::bits, width>::value,
                                    plane_cursor<layer, tile, width>>::type;
  cursor<8> p8;
  cursor<4> p4;
  cursor<2> p2;
  cursor<1> p1;
  int begin, end;                 // units of an item
  int item, unit;                 // next to copy
  int scale_group;                // first scale row of that n16 tile, in groups
  int ring, copy_slot, read_slot; // offsets from `base`
  u8 *base;

  __device__ __forceinline__ weight_stream(u8 *rings, const linear_args &args, int first_item,
                                           int split)
      : base(rings) {
    const int k_warp = warp_id() / tile::n_warps;
    ring = warp_id() * (tile::stages * g::slot_bytes);
    const int first = first_unit<layer, tile>(split),
              count = first_unit<layer, tile>(split + 1) - first;
    begin = first + k_warp * count / tile::k_warps;
    end = first + (k_warp + 1) * count / tile::k_warps;
    item = begin == end ? g::items : first_item; // a warp may have nothing to stream
    copy_slot = read_slot = ring;
    seek(args);
#pragma unroll
    for (int i = 0; i < tile::stages - 1; ++i)
      copy_next(args);
  }

  __device__ __forceinline__ void seek(const linear_args &args) {
    const int t = packed_n_tile<layer, tile>(min_of(item, g::items - 1), warp_id() % tile::n_warps);
    unit = begin;
    scale_group = t * layer::padded_groups;
    p8.seek(args, t, unit);
    p4.seek(args, t, unit);
    p2.seek(args, t, unit);
    p1.seek(args, t, unit);
  }

  __device__ __forceinline__ int next_slot(int slot) const {
    const int next = slot + g::slot_bytes;
    return next == ring + tile::stages * g::slot_bytes ? ring : next;
  }

  /// Starts the copy of the next unit (of nothing, behind the last item) and closes its group.
  __device__ __forceinline__ void copy_next(const linear_args &args) {
    u8 *slot = base + copy_slot;
    const bool active = item < g::items;
    const int bytes = active ? 16 : 0;
    p8.copy_and_advance(slot, bytes);
    p4.copy_and_advance(slot, bytes);
    p2.copy_and_advance(slot, bytes);
    p1.copy_and_advance(slot, bytes);
    copy_scale_rows(slot + g::unit::weight_bytes, args, bytes);
    commit_copies();
    copy_slot = next_slot(copy_slot);
    if (++unit == end && active) {
      item += gridDim.x;
      seek(args);
    }
  }

  __device__ __forceinline__ void copy_scale_rows(u8 *to, const linear_args &args, int bytes) {
    constexpr int rows = g::unit::scale_rows, pieces = layer::sym ? 2 : 3;
    const int first = unit * g::unit::steps;
#pragma unroll
    for (int i = 0; i < rows * pieces; i += 32) {
      const int j = i + lane_id(), row = j / pieces, piece = j % pieces;
      if (j < rows * pieces) {
        const int group = layer::ragged ? (bytes ? group_of_step<layer>(args, first + row) : 0)
                                        : min_of(group_of_step<layer>(args, first) + row,
                                                 layer::padded_groups - 1);
        const int at = scale_group + group;
        if (piece < 2)
          copy_async_16(to + row * 32 + piece * 16, args.scales + (i64)at * 16 + piece * 8, bytes);
        else
          copy_async_16(to + g::unit::scale_bytes + row * 16, args.zeros + (i64)at * 16, bytes);
      }
    }
  }

  /// The next unit to compute with, once it has arrived; starts the copy of a later one into the
  /// slot that all lanes have finished with.
  __device__ __forceinline__ const u8 *next(const linear_args &args) {
    wait_copies<tile::stages - 2>();
    warp_barrier();
    copy_next(args);
    const u8 *slot = base + read_slot;
    read_slot = next_slot(read_slot);
    return slot;
  }
};

/// Starts (or, gathering, does) the copy of this split's columns of the block's tokens, and zeroes
/// the unit that stands for tokens beyond M. The 16-byte pieces of a row are xor-swizzled by the
/// row.
template <typename layer, typename tile, bool gather>
GPTQC_DEVICE void copy_x_rows(u8 *x_rows, const linear_args &args, int block_m, int split) {
  using g = gemv_shape<layer, tile>;
  constexpr int pieces = g::row_bytes / 16;
  const i64 first_k = (i64)first_unit<layer, tile>(split) * tile::k;
  const int rows = (int)min_of((i64)tile::x_rows, (i64)args.m - (i64)block_m * tile::m);
  for (int i = threadIdx.x; i < rows * pieces; i += g::threads) {
    const int row = i / pieces, piece = i % pieces;
    const u16 *x = args.x + ((i64)block_m * tile::m + row) * args.ldx;
    const i64 k = first_k + piece * 8;
    u8 *to = x_rows + row * g::row_bytes + (piece ^ (row & 7)) * 16;
    if constexpr (!gather) {
      const int bytes = k < layer::k ? (int)min_of(layer::k - k, (i64)8) * 2 : 0;
      copy_async_16(to, bytes ? x + k : args.x, bytes);
    } else {
      *(u32x4 *)to = gather_piece<layer>(args, x, k);
    }
  }
  for (int i = threadIdx.x; i < g::unit_row_bytes / 16; i += g::threads)
    *(u32x4 *)(x_rows + tile::x_rows * g::row_bytes + i * 16) = {0, 0, 0, 0};
  commit_copies();
}

/// Where a lane reads X for ldmatrix. Two offsets per m8 tile cover the swizzle: four steps later
/// it repeats.
template <typename layer, typename tile> struct x_reader {
  using g = gemv_shape<layer, tile>;
  const u8 *rows;
  int start[tile::m / 8], at[tile::m / 8]; // bytes; `at` moves with the unit
  int stride[tile::m / 8]; // bytes per unit: 0 for tokens beyond M, which read zeros

  __device__ __forceinline__ x_reader(const u8 *x_rows, int tokens, int first) : rows(x_rows) {
    const int row_in_tile = lane_id() % 8, matrix = lane_id() / 8;
#pragma unroll
    for (int j = 0; j < tile::m / 8; ++j) {
      const int row = j * 8 + row_in_tile;
      const bool exists = row < min_of(tokens, tile::x_rows);
      stride[j] = exists ? g::unit_row_bytes : 0;
      start[j] =
          (exists ? row * g::row_bytes + first * g::unit_row_bytes : tile::x_rows * g::row_bytes) +
          ((matrix ^ row_in_tile) * 16);
      at[j] = start[j];
    }
  }
  /// Back to the warp's first unit, for the next item.
  __device__ __forceinline__ void rewind() {
#pragma unroll
    for (int j = 0; j < tile::m / 8; ++j)
      at[j] = start[j];
  }
  __device__ __forceinline__ void advance() {
#pragma unroll
    for (int j = 0; j < tile::m / 8; ++j)
      at[j] += stride[j];
  }
  /// b[s][j]: B fragment of step `step + s` of the unit, m8 tile j; `step` is a multiple of
  /// `steps`.
  template <int steps>
  __device__ __forceinline__ void load(u32 (&b)[steps][tile::m / 8][2], int step) const {
#pragma unroll
    for (int j = 0; j < tile::m / 8; ++j) {
      if constexpr (steps == 1) {
        // Matrices 0 and 1 are the step's, so odd steps start at piece 2 of their pair.
        const int flip = (step & 1) * 32 ^ (step & 2) * 32;
        ldmatrix_x2(b[0][j], rows + (at[j] ^ flip) + (step >> 2) * 128);
      } else {
#pragma unroll
        for (int s = 0; s < steps; s += 2) { // one instruction loads two steps
          u32 d[4];
          ldmatrix_x4(d, rows + (at[j] ^ ((step + s) & 2) * 32) + ((step + s) >> 2) * 128);
          b[s][j][0] = d[0], b[s][j][1] = d[1], b[s + 1][j][0] = d[2], b[s + 1][j][1] = d[3];
        }
      }
    }
  }
};

/// acc[j] += scale * ((code - zero) x) over `steps` steps of a unit that share a scale row.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE void accumulate_unit(float (&acc)[tile::m / 8][4],
                                  const u32 (&b)[steps][tile::m / 8][2], const u8 *slot, int unit,
                                  int step) {
  using g = gemv_shape<layer, tile>;
  using u = unit_tile<tile>;
  const u8 *scale_rows = slot + g::unit::weight_bytes;
  const int row = scale_row<layer, u>(unit, step);
  weight_words<layer::bits, steps> words;
  load_weights<layer, u, steps>(words, slot, 0, step);
  const zero_addends<layer::bits> zeros = load_zeros<layer, u>(scale_rows, 0, row);
  float scales[2];
  load_scales<layer, u>(scales, scale_rows, 0, row);
  float partial[tile::m / 8][4] = {};
#pragma unroll
  for (int s = 0; s < steps; ++s) {
    u32 a[4];
    dequantize<layer::bits, typename layer::act, steps>(a, words, zeros, step, s);
#pragma unroll
    for (int j = 0; j < tile::m / 8; ++j)
      layer::act::mma(partial[j], a, b[s][j]);
  }
#pragma unroll
  for (int j = 0; j < tile::m / 8; ++j) {
    acc[j][0] += scales[0] * partial[j][0];
    acc[j][1] += scales[0] * partial[j][1];
    acc[j][2] += scales[1] * partial[j][2];
    acc[j][3] += scales[1] * partial[j][3];
  }
}

/// Adds the k warps' sums of one item up, in order, into sums[0][m][reduce_stride] of the buffer
/// that `parity` picks. Two buffers need one barrier per item: whoever still reads the other one
/// has not arrived at the next barrier.
template <typename layer, typename tile>
GPTQC_DEVICE float *gemv_reduce(float *buffers, const float (&acc)[tile::m / 8][4], int parity) {
  using g = gemv_shape<layer, tile>;
  float *sums = buffers + parity * g::reduce_floats;
  float *slice = sums + warp_id() / tile::n_warps * (tile::m * g::reduce_stride);
  const int n = warp_id() % tile::n_warps * 16 + lane_id() / 4, c = lane_id() % 4 * 2;
#pragma unroll
  for (int j = 0; j < tile::m / 8; ++j) {
    const int m = j * 8 + c;
    slice[m * g::reduce_stride + n] = acc[j][0];
    slice[(m + 1) * g::reduce_stride + n] = acc[j][1];
    slice[m * g::reduce_stride + n + 8] = acc[j][2];
    slice[(m + 1) * g::reduce_stride + n + 8] = acc[j][3];
  }
  block_barrier();
  return sums;
}

/// Stores an item from the k warps' sums; gate and up rows, bias and tails as in store_tile.
template <typename layer, typename tile>
GPTQC_DEVICE void gemv_store(const linear_args &args, const float *sums, int item, int block_m) {
  using g = gemv_shape<layer, tile>;
  constexpr int columns = tile::n / layer::parts;
  const auto total = [&](int m, int c) { // over the k warps, in order
    float sum = sums[m * g::reduce_stride + c];
#pragma unroll
    for (int k = 1; k < tile::k_warps; ++k)
      sum += sums[(k * tile::m + m) * g::reduce_stride + c];
    return sum;
  };
  const int rows = (int)min_of((i64)tile::m, (i64)args.m - (i64)block_m * tile::m);
  for (int i = threadIdx.x; i < rows * columns; i += g::threads) {
    const int m = i / columns, c = i % columns;
    const i64 column = (i64)item * columns + c;
    if (column >= layer::n / layer::parts)
      continue;
    const float up = layer::parts == 2 ? total(m, c + columns) : 0.0f;
    args.y[((i64)block_m * tile::m + m) * args.ldy + column] =
        layer::out::from_float(finish_element<layer>(args, total(m, c), up, column));
  }
}

/// For split_k > 1: folds the k warps into sums[0] for reduce_split_k. Ends with a block barrier.
template <typename layer, typename tile> GPTQC_DEVICE void gemv_fold(float *sums) {
  using g = gemv_shape<layer, tile>;
  for (int i = threadIdx.x; i < tile::m * tile::n; i += g::threads) {
    const int at = i / tile::n * g::reduce_stride + i % tile::n;
    float sum = sums[at];
#pragma unroll
    for (int k = 1; k < tile::k_warps; ++k)
      sum += sums[k * (tile::m * g::reduce_stride) + at];
    sums[at] = sum;
  }
  block_barrier();
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_GEMV_CUH
