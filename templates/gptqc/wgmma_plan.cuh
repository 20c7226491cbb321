// The wgmma family (sm_90a): W^T as register A fragments of wgmma, X as B from shared memory, many
// tokens. One warp keeps a ring of X full through the copy engine; the consumers, all warpgroups
// but that warp's, stream their own weights through private rings of asynchronous copies,
// dequantize and multiply. Blocks are persistent.
//
// The tile has a few more facts here:
//   n, m          rows and tokens of a block's tile; a wgmma spans all m tokens
//   k             packed k that the consumers take in one round, k / k_warps each
//   n_warps, k_warps  4 x the consumer warpgroups along rows; consumer warpgroups along k
//   stages        blocks of k that the ring of X holds
//   weight_stages slots of a warp's ring of weights
//   split_k       blocks of a cluster that share a tile, each with its part of k
//   multicast     blocks of a cluster with the same tokens and k, each loading a part of X for all
//   cluster       split_k x multicast
//   raster        token blocks that run side by side, for the sake of L2
//
// Terms: a *block of k* is 64 packed columns; a *unit* is what a slot of weights holds, a warp's
// columns of one round for its rows; an *item* is `multicast` neighbouring tiles of rows for one
// tile of tokens; a *fragment* is 64 rows of one warpgroup. Rank in the cluster = split * multicast
// + row tile.
#ifndef GPTQC_TEMPLATES_WGMMA_PLAN_CUH
#define GPTQC_TEMPLATES_WGMMA_PLAN_CUH

#include "gptqc/items.cuh"
#include "gptqc/ptx/mbarrier.cuh"
#include "gptqc/ptx/warp.cuh"
#include "gptqc/ptx/warpgroup.cuh"
#include "gptqc/tile.cuh"

namespace gptqc {

GPTQC_DEVICE constexpr int round_up(int value, int unit) {
  return (value + unit - 1) / unit * unit;
}

/// Whether a and b are one type.
template <typename a, typename b> constexpr bool same_type = false;
template <typename a> constexpr bool same_type<a, a> = true;

/// Blocks of k that a slot of X holds, which is waited for and given back as a whole: a warpgroup's
/// of a round, fewer where it has less than three such slots. From 128 tokens on the tensor cores
/// bind, not the instructions that this saves, and single blocks keep more of X in flight.
GPTQC_DEVICE constexpr int blocks_of_slot(int unit_blocks, int stages, int k_groups, int m) {
  int blocks = m < 128 ? unit_blocks : 1;
  while (unit_blocks % blocks != 0 || stages % blocks != 0 ||
         (blocks > 1 && stages < 3 * blocks * k_groups))
    --blocks;
  return blocks;
}

/// The tile of one n16 tile of a unit, in the terms of tile.cuh.
template <typename tile> struct wgmma_unit {
  static constexpr int n = 16, m = 8, k = tile::k / tile::k_warps;
  static constexpr int n_warps = 1, m_warps = 1, k_warps = 1, split_k = 1;
};

template <typename layer, typename tile> struct wgmma_plan {
  using unit = shape<layer, wgmma_unit<tile>>;
  static constexpr int n_groups = tile::n_warps / 4, k_groups = tile::k_warps;
  static constexpr int consumers = n_groups * k_groups; // warpgroups
  static constexpr int threads = (consumers + 1) * 128;
  // Registers of a thread, which setmaxnreg hands around: the launch gives each the same share.
  static constexpr int consumer_registers = consumers <= 2 ? 232 : consumers == 3 ? 160 : 112;
  static constexpr int producer_registers = consumers <= 2 ? 40 : 32;
  static constexpr int fragments = tile::n / (64 * n_groups); // of a warpgroup
  static constexpr int unit_blocks = tile::k / 64 / k_groups; // blocks of k
  static constexpr int shares = tile::split_k * k_groups;     // partial sums of a tile
  static constexpr int m_tiles = tile::m / 8;
  static constexpr int share_tiles = (m_tiles + shares - 1) / shares; // m8 tiles that one adds up
  // Whether a round's slots of X follow each other: then the ring wraps between rounds only.
  static constexpr bool whole_rounds = tile::stages % (tile::k / 64) == 0;
  static constexpr int x_blocks = blocks_of_slot(unit_blocks, tile::stages, k_groups, tile::m);
  static constexpr int x_slots = tile::stages / x_blocks;

  // Whether a group's scale multiplies the sums of its products, in fp32, and not its weights:
  // where that takes fewer instructions, and registers suffice for two sums.
  static constexpr bool packed_scaling = same_type<typename layer::act, typename layer::scale>;
  static constexpr int sums_room = consumers <= 2 ? 64 : consumers == 3 ? 48 : 32; // tokens
  static constexpr bool scales_sums =
      !layer::ragged && layer::group_steps % 4 == 0 && layer::padded_groups > 1 &&
      unit_blocks * 4 % max_of(1, layer::group_steps) == 0 && layer::padded_k % tile::k == 0 &&
      (tile::m < (packed_scaling ? 8 : 16) * layer::group_steps) && fragments *tile::m <= sums_room;

  // A unit of one fragment: planes, scales, zero points.
  static constexpr int scale_rows =
      unit::scale_rows < layer::padded_groups ? unit::scale_rows : layer::padded_groups;
  static constexpr int scales_at = unit::weight_bytes;
  static constexpr int zeros_at = scales_at + scale_rows * 32;
  static constexpr int unit_bytes = zeros_at + (layer::sym ? 0 : scale_rows * 16);

  // Shared memory: X, weights, staging of the epilogue, barriers; the exchange of partial sums
  // overlays the rings.
  static constexpr int x_block_bytes = tile::m * 128;
  static constexpr int x_slot_bytes = x_blocks * x_block_bytes;
  static constexpr int weights_at = x_slots * x_slot_bytes;
  static constexpr int warp_ring_bytes = tile::weight_stages * fragments * unit_bytes;
  static constexpr int rings_end = weights_at + consumers * 4 * warp_ring_bytes;
  static constexpr int exchange_bytes = shares > 1 ? consumers * fragments * m_tiles * 2048 : 0;
  static constexpr int staging_at = round_up(max_of(rings_end, exchange_bytes), 128);
  static constexpr int staging_bytes = 32 * 32 + 2 * 64; // of a warp: 32 tokens of 16 rows
  static constexpr int barriers_at = staging_at + consumers * 4 * staging_bytes;
  static constexpr int shared_bytes = barriers_at + 16 * x_slots;

  // Rows: n16 tiles of one part, then items along the rows.
  static constexpr int part_tiles = (int)(layer::padded_n / layer::parts / 16);
  static constexpr int tiles_per_part = tile::n / 16 / layer::parts;
  static constexpr int n_items =
      (part_tiles + tiles_per_part * tile::multicast - 1) / (tiles_per_part * tile::multicast);

  static_assert(tile::n_warps % 4 == 0 && tile::n % (64 * n_groups) == 0, "whole warpgroups");
  static_assert(k_groups == 1 || tile::stages % (tile::k / 64) == 0,
                "a slot of X is always one warpgroup's: parities tell two rounds apart");
  static_assert(unit_blocks % 2 == 0, "fragments are double-buffered by the block of k");
  static_assert(tile::m % (8 * tile::multicast) == 0, "parts of X must be whole swizzle atoms");
};

/// A place in a ring of `stages` slots and the parity of the ring's current round.
template <int stages> struct ring_cursor {
  int slot = 0;
  u32 parity = 0;
  __device__ __forceinline__ void advance(int by = 1) {
    slot += by;
    if (slot >= stages) {
      slot -= stages;
      parity ^= 1;
    }
  }
};

/// The ring of X of a block. Slot s is full when `full(s)` completes a phase, and empty again when
/// `empty(s)` does.
template <typename layer, typename tile> struct wgmma_ring {
  using plan = wgmma_plan<layer, tile>;
  u8 *base;

  __device__ __forceinline__ explicit wgmma_ring(u8 *shared) : base(shared) {}
  __device__ __forceinline__ u8 *slot(int s) const { return base + s * plan::x_slot_bytes; }
  __device__ __forceinline__ mbarrier *full(int s) const {
    return (mbarrier *)(base + plan::barriers_at) + s;
  }
  __device__ __forceinline__ mbarrier *empty(int s) const { return full(plan::x_slots + s); }
};

/// Where a block stands in its cluster.
template <typename tile> struct wgmma_place {
  static __device__ __forceinline__ int split() {
    return tile::split_k == 1 ? 0 : (int)cluster_rank() / tile::multicast;
  }
  static __device__ __forceinline__ int row_tile() {
    return tile::multicast == 1 ? 0 : (int)cluster_rank() % tile::multicast;
  }
};

/// How the clusters share the items: whole rounds of one item each, then what is left in
/// warpgroups' shares of an item, spread over all blocks, so that all end at about the same time.
/// The warpgroups of a cluster have the same tokens.
template <typename layer, typename tile> struct wgmma_walk {
  using plan = wgmma_plan<layer, tile>;
  static constexpr int per_item = plan::n_groups * tile::multicast; // shares
  int m_blocks;
  int whole;  // items of whole rounds
  int shares; // of all items that are left
  int block;  // shares that a block has in the last round

  __device__ __forceinline__ explicit wgmma_walk(const linear_args &args)
      : m_blocks((args.m + tile::m - 1) / tile::m) {
    whole = plan::n_items * m_blocks;
    shares = 0, block = 1;
    if constexpr (plan::shares == 1) { // else each cluster has one item
      const u32 items = whole, clusters = item_step<tile>();
      const u32 left = items < clusters ? items : items % clusters;
      whole -= left;
      shares = left * per_item;
#pragma unroll
      for (u32 i = 1; i < plan::n_groups; ++i) // left * n_groups / clusters, rounded up
        block += left * plan::n_groups > i * clusters;
      while (m_blocks > 1 && plan::n_groups % block != 0)
        ++block;
    }
  }
  /// Behind the last item of this block's cluster.
  __device__ __forceinline__ int items() const {
    const int cluster = first_item<tile>();
    return whole + (cluster * block * tile::multicast < shares ? cluster + 1 : 0);
  }
};

template <typename layer, typename tile> GPTQC_DEVICE int wgmma_items(const linear_args &args) {
  return wgmma_walk<layer, tile>(args).items();
}

/// Which tile of the output an item is for warpgroup `group` along the rows of a block: `raster`
/// token blocks at a time, they run fastest, so blocks that share weights run at the same time and
/// X is read once per group.
template <typename layer, typename tile> struct wgmma_item {
  int block_n, block_m, n_group;
  bool works; // false in a last round with fewer shares than warpgroups
  __device__ __forceinline__ wgmma_item(const linear_args &args, int item, int group) {
    using plan = wgmma_plan<layer, tile>;
    using walk_type = wgmma_walk<layer, tile>;
    const walk_type walk(args);
    const int row_tile = wgmma_place<tile>::row_tile();
    int within = row_tile * plan::n_groups + group;
    works = true;
    if (item >= walk.whole) {
      const int share = ((item - walk.whole) * tile::multicast + row_tile) * walk.block + group;
      works = group < walk.block && share < walk.shares;
      item = walk.whole + share / walk_type::per_item;
      within = share % walk_type::per_item;
    }
    constexpr int raster_items = tile::raster * plan::n_items;
    const int raster = item / raster_items, in_raster = item % raster_items;
    const int height = min_of((int)tile::raster, walk.m_blocks - raster * tile::raster);
    // Divisions by what is not known are slow, and stand in front of everything else.
    const int column = height == 1              ? in_raster
                       : height == tile::raster ? in_raster / (int)tile::raster
                                                : in_raster / max_of(1, height);
    block_m = raster * tile::raster + in_raster - column * height;
    block_n = column * tile::multicast + within / plan::n_groups;
    n_group = within % plan::n_groups;
  }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_PLAN_CUH
