// The weights of a gemv kernel: the shape of its units, slices and items, and a warp's stream of
// units. gemv.cuh has the terms.
#ifndef GPTQC_TEMPLATES_WEIGHT_STREAM_CUH
#define GPTQC_TEMPLATES_WEIGHT_STREAM_CUH

#include "gptqc/copy_weights.cuh"
#include "gptqc/items.cuh"
#include "gptqc/ptx/warp.cuh"

namespace gptqc {

/// The tile of one warp's unit, in the terms of tile.cuh. Its rows are an item of the warp.
template <typename tile> struct unit_tile {
  static constexpr int n = tile::n / tile::n_warps, m = tile::m, k = tile::k;
  static constexpr int n_warps = 1, m_warps = 1, k_warps = 1, split_k = 1;
};

template <typename layer, typename tile> struct gemv_shape {
  using unit = shape<layer, unit_tile<tile>>;
  static constexpr int n_tiles = unit_tile<tile>::n / 16, m_tiles = tile::m / 8; // of a warp
  static constexpr int units = unit::k_tiles;                                    // of all of k
  static constexpr int split_units = ceil_div(units, tile::split_k);             // of one split
  static constexpr int slice_units = ceil_div(split_units, tile::k_warps); // of a warp, at most
  // Whole lines: asynchronous copies into a part of one are slower.
  static constexpr int slot_bytes =
      ceil_div(unit::weight_bytes + unit::scale_bytes + unit::zero_bytes, 128) * 128;
  static constexpr int ring_bytes = tile::stages * slot_bytes; // of a warp
  static constexpr int unit_row_bytes = tile::k * 2;           // of a row of X
  static constexpr int row_bytes = slice_units * unit_row_bytes;
  static constexpr int slice_bytes = tile::x_rows * row_bytes;              // of a warp
  static constexpr int sums_stride = tile::n + 4;                           // floats
  static constexpr int sums_floats = tile::k_warps * tile::m * sums_stride; // of one item
  static constexpr int tiles_per_part = n_tiles / layer::parts;
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

/// The k slice of this warp, in units. With split_k > 1 the blocks of a cluster share their items,
/// each with its part of k.
template <typename layer, typename tile> struct unit_range {
  int begin, end;
  __device__ __forceinline__ unit_range() {
    const int split = blockIdx.x % tile::split_k;
    const int first = first_unit<layer, tile>(split),
              count = first_unit<layer, tile>(split + 1) - first;
    const int k_warp = place<tile>::k_warp();
    begin = first + k_warp * count / tile::k_warps;
    end = first + (k_warp + 1) * count / tile::k_warps;
  }
};

/// Whether this warp streams; the warps behind the k warps reduce.
template <typename tile> GPTQC_DEVICE bool is_streaming_warp() { return warp_id() < tile::k_warps; }

/// A lane's running source address in one plane: it copies 16 bytes of each chunk.
template <typename layer, typename tile, int width> struct plane_cursor {
  using u = unit_tile<tile>;
  static constexpr int chunk_k = 256 / width, chunks = tile::k / chunk_k;
  static constexpr i64 tile_bytes = layer::padded_k / chunk_k * 512; // of one n16 tile
  const u8 *from;

  __device__ __forceinline__ void seek(const linear_args &args, int item, int unit) {
    from = args.weights + plane_offset<layer, width>(layer::padded_n * layer::padded_k) +
           packed_n_tile<layer, u>(item, 0) * tile_bytes + (i64)unit * (chunks * 512) +
           lane_id() * 16;
  }
  __device__ __forceinline__ void copy_and_advance(u8 *slot) {
    u8 *to = slot + plane_offset<layer, width>((i64)u::n * tile::k);
#pragma unroll
    for (int t = 0; t < u::n / 16; ++t)
#pragma unroll
      for (int c = 0; c < chunks; ++c)
        copy_async_16(to + (t * chunks + c) * 512,
                      from + packed_n_tile<layer, u>(0, t) * tile_bytes + c * 512, 16);
    from += chunks * 512; // units of a slice follow each other in memory
  }
};

/// A width that the layer has no plane of.
struct no_plane {
  __device__ __forceinline__ void seek(const linear_args &, int, int) {}
  __device__ __forceinline__ void copy_and_advance(u8 *) {}
};
template <bool present, typename cursor> struct cursor_if {
  using type = cursor;
};
template <typename cursor> struct cursor_if<false, cursor> {
  using type = no_plane;
};

/// A warp's stream of units: its k slice of every item of the block, in order, through a private
/// ring. Lanes share what they copy, so a warp barrier is all that a slot needs.
template <typename layer, typename tile> struct weight_stream {
  using g = gemv_shape<layer, tile>;
  template <int width>
  using cursor = typename cursor_if<has_plane<layer::bits, width>::value,
                                    plane_cursor<layer, tile, width>>::type;
  cursor<8> p8;
  cursor<4> p4;
  cursor<2> p2;
  cursor<1> p1;
  unit_range<layer, tile> range;
  int items_left, units_left; // to copy, of the block and of the item
  int item;
  // The slot that is copied into next, which is the last one that was read; an address that moves
  // stays in a register, where the ring's would be computed from the block's rank again and again.
  u8 *slot;
  int to_wrap; // slots from there to the end of the ring

  // Scales and zero points: of each n16 tile and scale row of a unit two 16-byte pieces of scales
  // and, when asymmetric, one of zero points, spread over the lanes.
  static constexpr int pieces = layer::sym ? 2 : 3;
  static constexpr int piece_count = g::n_tiles * g::unit::scale_rows * pieces;
  static constexpr int piece_rounds = ceil_div(piece_count, 32);
  /// Groups that a unit advances by, when that is the same for all.
  static constexpr bool whole_groups = !layer::ragged && g::unit::steps % layer::group_steps == 0;
  const u8 *scale_from[piece_rounds]; // whole groups: of the next unit; else of group 0
  int scale_to[piece_rounds];         // in the slot, less this lane's 16 bytes

  /// The items of a warp: those of a cluster go to its warps along rows in turns, so that the
  /// clusters that have one more than others have it in one warp.
  static __device__ __forceinline__ int first_item() {
    return gptqc::first_item<tile>() + place<tile>::n_warp() * gptqc::item_step<tile>();
  }
  static __device__ __forceinline__ int item_step() {
    return gptqc::item_step<tile>() * tile::n_warps;
  }

  __device__ __forceinline__ weight_stream(u8 *rings, const linear_args &args)
      : item(first_item()), slot(rings + warp_id() * g::ring_bytes), to_wrap(tile::stages) {
    units_left = range.end - range.begin;
    items_left = units_left ? g::items - item : 0; // there may be more warps than units
#pragma unroll
    for (int i = 0; i < piece_rounds; ++i) {
      const int j = i * 32 + lane_id(), slot = j / pieces, piece = j % pieces;
      scale_to[i] = g::unit::weight_bytes - lane_id() * 16 +
                    (piece < 2 ? slot * 32 + piece * 16 : g::unit::scale_bytes + slot * 16);
    }
    seek(args);
  }

  __device__ __forceinline__ void seek(const linear_args &args) {
    p8.seek(args, item, range.begin);
    p4.seek(args, item, range.begin);
    p2.seek(args, item, range.begin);
    p1.seek(args, item, range.begin);
#pragma unroll
    for (int i = 0; i < piece_rounds; ++i) {
      const int j = i * 32 + lane_id(), slot = j / pieces, piece = j % pieces;
      const int t = slot / g::unit::scale_rows, row = slot % g::unit::scale_rows;
      const int first =
          whole_groups ? range.begin * (g::unit::steps / max_of(1, layer::group_steps)) + row : 0;
      const i64 at =
          (i64)packed_n_tile<layer, unit_tile<tile>>(item, t) * layer::padded_groups + first;
      scale_from[i] =
          piece < 2 ? (const u8 *)args.scales + at * 32 + piece * 16 : args.zeros + at * 16;
    }
  }

  __device__ __forceinline__ void copy_scale_rows(const linear_args &args, u8 *to) {
    const int first = (range.end - units_left) * g::unit::steps;
#pragma unroll
    for (int i = 0; i < piece_rounds; ++i) {
      const int j = i * 32 + lane_id(), row = j / pieces % g::unit::scale_rows;
      const int bytes = j % pieces < 2 ? 32 : 16; // of a group
      if (j < piece_count) {
        if constexpr (whole_groups) {
          copy_async_16(to + scale_to[i], scale_from[i], 16);
        } else {
          const int group = layer::ragged ? group_of_step<layer>(args, first + row)
                                          : min_of(group_of_step<layer>(args, first) + row,
                                                   layer::padded_groups - 1);
          copy_async_16(to + scale_to[i], scale_from[i] + group * bytes, 16);
        }
      }
      if constexpr (whole_groups)
        scale_from[i] += g::unit::scale_rows * bytes;
    }
  }

  /// Starts the copy of the next unit; of nothing behind the last item.
  __device__ __forceinline__ void copy_next(const linear_args &args) {
    u8 *to = slot + lane_id() * 16;
    slot += g::slot_bytes;
    if (--to_wrap == 0) {
      slot -= g::ring_bytes;
      to_wrap = tile::stages;
    }
    if (items_left > 0) {
      p8.copy_and_advance(to);
      p4.copy_and_advance(to);
      p2.copy_and_advance(to);
      p1.copy_and_advance(to);
      copy_scale_rows(args, to);
      if (--units_left == 0) {
        item += item_step();
        items_left -= item_step();
        units_left = range.end - range.begin;
        seek(args);
      }
    }
  }

  /// Fills `count` slots, one group each.
  template <int count> __device__ __forceinline__ void run_ahead(const linear_args &args) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      copy_next(args);
      commit_copies();
    }
  }

  /// The next unit to compute with, once it has arrived; starts the copy of a later one into the
  /// slot that all lanes have finished with.
  __device__ __forceinline__ const u8 *next(const linear_args &args) {
    wait_copies<tile::stages - 2>();
    warp_barrier();
    copy_next(args);
    commit_copies();
    return read();
  }
  /// The slot of the next unit, which has arrived: all others of the ring are in flight, the first
  /// of them is the one behind the last copy.
  __device__ __forceinline__ const u8 *read() const { return slot; }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WEIGHT_STREAM_CUH
