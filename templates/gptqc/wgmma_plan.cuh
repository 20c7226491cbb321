// The wgmma family (sm_90a): W^T as register A fragments of wgmma, X as B from shared memory, many
// tokens. One warpgroup of producers keeps two rings full, one of X (the copy engine, 128-byte
// swizzle), one of weights with their scales (bulk copies); the other warpgroups, the consumers,
// dequantize and multiply. Blocks are persistent.
//
// The tile has a few more facts here:
//   n, m          rows and tokens of a block's tile; a wgmma spans all m tokens
//   k             packed k of one stage of weights
//   n_warps, k_warps  consumer warps along rows (multiples of 4) and along k (in whole warpgroups)
//   stages        stages of X, 64 columns of k each
//   weight_stages stages of weights
//   split_k       blocks of a cluster that share a tile, each with its part of k
//   multicast     blocks of a cluster with the same tokens and k, each loading a part of X for all
//   raster        token blocks that run side by side, for the sake of L2
//
// Terms: a *block of k* is 64 packed columns; an *item* is what a cluster computes before it moves
// on, `multicast` neighbouring tiles of rows for one tile of tokens; a *fragment* is 64 rows of one
// warpgroup. Rank in the cluster = split * multicast + row tile.
#ifndef GPTQC_TEMPLATES_WGMMA_PLAN_CUH
#define GPTQC_TEMPLATES_WGMMA_PLAN_CUH

#include "gptqc/ptx/cluster.cuh"
#include "gptqc/ptx/mbarrier.cuh"
#include "gptqc/ptx/warpgroup.cuh"
#include "gptqc/tile.cuh"

namespace gptqc {

GPTQC_DEVICE constexpr int round_up(int value, int unit) {
  return (value + unit - 1) / unit * unit;
}

template <typename layer, typename tile> struct wgmma_plan {
  using base = shape<layer, tile>;
  static constexpr int n_groups = tile::n_warps / 4, k_groups = tile::k_warps;
  static constexpr int consumers = n_groups * k_groups; // warpgroups
  static constexpr int threads = (consumers + 1) * 128;
  static constexpr int cluster = tile::split_k * tile::multicast;
  static constexpr int fragments = tile::n / (64 * n_groups); // of a warpgroup
  static constexpr int blocks = tile::k / 64;                 // of k, in a stage of weights
  static constexpr int group_blocks = blocks / k_groups;      // that one warpgroup multiplies
  static constexpr int shares = tile::split_k * k_groups;     // partial sums of a tile
  static constexpr int m_tiles = tile::m / 8;
  static constexpr int share_tiles = (m_tiles + shares - 1) / shares; // m8 tiles that one adds up

  /// Rows of scales in a stage of weights.
  static constexpr int scale_rows =
      base::scale_rows < layer::padded_groups ? base::scale_rows : layer::padded_groups;
  static constexpr int scale_bytes = base::n_tiles * scale_rows * 32;
  static constexpr int zero_bytes = layer::sym ? 0 : base::n_tiles * scale_rows * 16;
  static constexpr int weight_copy_bytes = base::weight_bytes + scale_bytes + zero_bytes;
  static constexpr int weight_stage_bytes = round_up(weight_copy_bytes, 128);
  static constexpr int x_stage_bytes = tile::m * 128;

  // Shared memory: X, weights, staging of the epilogue, barriers; the exchange of partial sums
  // overlays the rings.
  static constexpr int weights_at = tile::stages * x_stage_bytes;
  static constexpr int rings_end = weights_at + tile::weight_stages * weight_stage_bytes;
  static constexpr int exchange_bytes = shares > 1 ? consumers * fragments * m_tiles * 2048 : 0;
  static constexpr int staging_at = rings_end > exchange_bytes ? rings_end : exchange_bytes;
  static constexpr int staging_bytes = 32 * 32 + 2 * 64; // of a warp: 32 tokens of 16 rows
  static constexpr int barriers_at = staging_at + consumers * 4 * staging_bytes;
  static constexpr int shared_bytes = barriers_at + 16 * (tile::stages + tile::weight_stages);

  // Registers of a thread: what a launch with the block's share of them for all can hand around.
  static constexpr int consumer_registers = consumers <= 2 ? 232 : consumers == 3 ? 160 : 112;
  static constexpr int producer_registers = consumers <= 2 ? 40 : 32;

  // Rows: tiles of one part, then items along the rows.
  static constexpr int part_tiles = (int)(layer::padded_n / layer::parts / 16);
  static constexpr int tiles_per_part = base::n_tiles / layer::parts;
  static constexpr int n_items =
      (part_tiles + tiles_per_part * tile::multicast - 1) / (tiles_per_part * tile::multicast);

  static_assert(tile::n_warps % 4 == 0 && tile::n % (64 * n_groups) == 0, "whole warpgroups");
  static_assert(blocks % (2 * k_groups) == 0, "fragments are double-buffered by the block of k");
  static_assert(tile::stages % k_groups == 0, "a warpgroup strides over the stages of X");
  static_assert(tile::m % (8 * tile::multicast) == 0, "parts of X must be whole swizzle atoms");
  static_assert(layer::parts == 1 || fragments % 2 == 0, "gate and up rows meet in one thread");
};

/// A place in a ring of `stages` slots and the parity of the ring's current round.
template <int stages> struct ring_cursor {
  int slot = 0;
  u32 parity = 0;
  __device__ __forceinline__ void advance() {
    if (++slot == stages) {
      slot = 0;
      parity ^= 1;
    }
  }
};

/// The barriers and buffers of a block. Slot s of a ring is full when `full[s]` completes a phase,
/// and empty again when `empty[s]` does.
template <typename layer, typename tile> struct wgmma_rings {
  using plan = wgmma_plan<layer, tile>;
  u8 *base;

  __device__ __forceinline__ explicit wgmma_rings(u8 *shared) : base(shared) {}
  __device__ __forceinline__ u8 *x(int slot) const { return base + slot * plan::x_stage_bytes; }
  __device__ __forceinline__ u8 *weights(int slot) const {
    return base + plan::weights_at + slot * plan::weight_stage_bytes;
  }
  __device__ __forceinline__ mbarrier *x_full(int slot) const {
    return (mbarrier *)(base + plan::barriers_at) + slot;
  }
  __device__ __forceinline__ mbarrier *x_empty(int slot) const {
    return x_full(tile::stages + slot);
  }
  __device__ __forceinline__ mbarrier *weights_full(int slot) const {
    return x_full(2 * tile::stages + slot);
  }
  __device__ __forceinline__ mbarrier *weights_empty(int slot) const {
    return weights_full(tile::weight_stages + slot);
  }
};

/// Where a block stands in its cluster.
template <typename tile> struct wgmma_place {
  static constexpr int cluster = tile::split_k * tile::multicast;
  static __device__ __forceinline__ int rank() { return cluster == 1 ? 0 : (int)cluster_rank(); }
  static __device__ __forceinline__ int split() {
    return tile::split_k == 1 ? 0 : rank() / tile::multicast;
  }
  static __device__ __forceinline__ int row_tile() {
    return tile::multicast == 1 ? 0 : rank() % tile::multicast;
  }
  /// The first item of this cluster, and the distance to its next.
  static __device__ __forceinline__ int first_item() { return blockIdx.x / cluster; }
  static __device__ __forceinline__ int item_step() { return gridDim.x / cluster; }
};

template <typename layer, typename tile> GPTQC_DEVICE int wgmma_items(const linear_args &args) {
  return wgmma_plan<layer, tile>::n_items * ((args.m + tile::m - 1) / tile::m);
}

/// Which tile of the output an item is for this block: `raster` token blocks at a time, they run
/// fastest, so blocks that share weights run at the same time and X is read once per group.
template <typename layer, typename tile> struct wgmma_item {
  int block_n, block_m;
  __device__ __forceinline__ wgmma_item(const linear_args &args, int item) {
    using plan = wgmma_plan<layer, tile>;
    const int m_blocks = (args.m + tile::m - 1) / tile::m;
    constexpr int group_items = tile::raster * plan::n_items;
    const int group = item / group_items, in_group = item % group_items;
    const int height = min_of(tile::raster, m_blocks - group * tile::raster);
    block_m = group * tile::raster + in_group % height;
    block_n = in_group / height * tile::multicast + wgmma_place<tile>::row_tile();
  }
};

/// First row of the scales that stage `kt` holds; scale_rows from there on exist.
template <typename layer, typename tile>
GPTQC_DEVICE int wgmma_first_group(const linear_args &args, int kt) {
  using plan = wgmma_plan<layer, tile>;
  const int first = group_of_step<layer>(args, kt * plan::base::steps);
  return min_of(first, layer::padded_groups - plan::scale_rows);
}

/// Row in the stage's scales of step `step` of stage `kt`.
template <typename layer, typename tile>
GPTQC_DEVICE int wgmma_scale_row(const linear_args &args, int kt, int step) {
  using plan = wgmma_plan<layer, tile>;
  constexpr int steps = plan::base::steps;
  if constexpr (!layer::ragged && plan::scale_rows == 1 && layer::group_steps % steps == 0)
    return 0;
  else if constexpr (!layer::ragged && steps % max_of(1, layer::group_steps) == 0 &&
                     layer::padded_k % tile::k == 0)
    return step / layer::group_steps;
  else
    return group_of_step<layer>(args, kt * steps + step) - wgmma_first_group<layer, tile>(args, kt);
}

/// Starts a block: rings without data. All threads call it; ends with a block barrier (and, where
/// blocks multicast to each other, one of the cluster).
template <typename layer, typename tile>
GPTQC_DEVICE wgmma_rings<layer, tile> wgmma_begin(u8 *shared) {
  using plan = wgmma_plan<layer, tile>;
  const wgmma_rings<layer, tile> rings(shared);
  if (threadIdx.x == 0) {
    for (int i = 0; i < tile::stages; ++i) {
      mbarrier_init(rings.x_full(i), 1);
      mbarrier_init(rings.x_empty(i), plan::n_groups * 4 * tile::multicast);
    }
    for (int i = 0; i < tile::weight_stages; ++i) {
      mbarrier_init(rings.weights_full(i), 1);
      mbarrier_init(rings.weights_empty(i), plan::consumers * 4);
    }
    mbarrier_fence_init();
  }
  if constexpr (tile::multicast > 1) {
    cluster_arrive();
    cluster_wait();
  } else {
    block_barrier();
  }
  return rings;
}

/// Ends a block: none leaves while another of its cluster may still reach its shared memory. All
/// threads call it.
template <typename layer, typename tile> GPTQC_DEVICE void wgmma_end() {
  if constexpr (wgmma_plan<layer, tile>::cluster > 1) {
    warp_barrier();
    cluster_arrive();
    cluster_wait();
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_PLAN_CUH
