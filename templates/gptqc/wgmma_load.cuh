// The producers of the wgmma family: one warp keeps the ring of X full, another that of the
// weights.
#ifndef GPTQC_TEMPLATES_WGMMA_LOAD_CUH
#define GPTQC_TEMPLATES_WGMMA_LOAD_CUH

#include "gptqc/copy_weights.cuh"
#include "gptqc/ptx/griddep.cuh"
#include "gptqc/ptx/tma.cuh"
#include "gptqc/ptx/warp.cuh"
#include "gptqc/wgmma_plan.cuh"

namespace gptqc {

/// Loads X for all items of the block, one stage of [m][64] after another; one lane of the calling
/// warp works. `x` maps [M][K] in boxes of [m / multicast][64] with the 128-byte swizzle; what lies
/// outside reads as zero.
template <typename layer, typename tile>
GPTQC_DEVICE void wgmma_load_x(const wgmma_rings<layer, tile> &rings, const linear_args &args,
                               const tensor_map &x) {
  using plan = wgmma_plan<layer, tile>;
  using at = wgmma_place<tile>;
  if (lane_id() == 0) {
    constexpr int rows = tile::m / tile::multicast; // that this block loads for its peers
    constexpr u32 peers = (1u << tile::multicast) - 1;
    const u16 blocks = (u16)(peers << (at::split() * tile::multicast));
    const int first_row = at::row_tile() * rows;
    const int first = first_k_tile<layer, tile>(at::split()) * plan::blocks;
    const int last = last_k_tile<layer, tile>(at::split()) * plan::blocks;
    const int items = wgmma_items<layer, tile>(args);
    ring_cursor<tile::stages> ring;
    tma_prefetch_map(x);
    wait_for_predecessors();
    launch_successors();
    for (int item = at::first_item(); item < items; item += at::item_step()) {
      const int m = wgmma_item<layer, tile>(args, item).block_m * tile::m + first_row;
      for (int block = first; block < last; ++block) {
        u8 *to = rings.x(ring.slot) + first_row * 128;
        mbarrier *full = rings.x_full(ring.slot);
        mbarrier_wait(rings.x_empty(ring.slot), ring.parity ^ 1);
        mbarrier_arrive_expect(full, plan::x_stage_bytes);
        if constexpr (tile::multicast > 1)
          tma_load_2d_multicast(to, x, block * 64, m, full, blocks);
        else
          tma_load_2d(to, x, block * 64, m, full);
        ring.advance();
      }
    }
  }
  warp_barrier();
}

/// Starts the copy of one n16 tile's chunks of one plane for stage `kt`. Chunks behind the packed
/// columns repeat the last one: finite weights, which meet zeros of X.
template <typename layer, typename tile, int width>
GPTQC_DEVICE void wgmma_load_plane(u8 *stage, const linear_args &args, int n_tile, int t, int kt,
                                   mbarrier *full) {
  constexpr int chunk_k = 256 / width, chunks = tile::k / chunk_k;
  constexpr int layer_chunks = (int)(layer::padded_k / chunk_k);
  static_assert(tile::k % chunk_k == 0, "the k tile must hold whole chunks of every plane");
  u8 *to = stage + plane_offset<layer, width>((i64)tile::n * tile::k) + t * (chunks * 512);
  const u8 *from = args.weights + plane_offset<layer, width>(layer::padded_n * layer::padded_k) +
                   (i64)n_tile * layer_chunks * 512;
  const int first = kt * chunks;
  if (layer_chunks % chunks == 0 || first + chunks <= layer_chunks) {
    bulk_load(to, from + (i64)first * 512, chunks * 512, full);
  } else {
    for (int c = 0; c < chunks; ++c)
      bulk_load(to + c * 512, from + (i64)min_of(first + c, layer_chunks - 1) * 512, 512, full);
  }
}

/// Loads weights, scales and zero points for all items of the block; lane t of the calling warp
/// copies those of local n16 tile t. Tiles behind the packed rows repeat the last one.
template <typename layer, typename tile>
GPTQC_DEVICE void wgmma_load_weights(const wgmma_rings<layer, tile> &rings,
                                     const linear_args &args) {
  using plan = wgmma_plan<layer, tile>;
  using at = wgmma_place<tile>;
  static_assert(plan::base::n_tiles <= 32, "a lane copies one tile of rows");
  const int t = lane_id();
  const int first = first_k_tile<layer, tile>(at::split());
  const int last = last_k_tile<layer, tile>(at::split());
  const int items = wgmma_items<layer, tile>(args);
  ring_cursor<tile::weight_stages> ring;
  for (int item = at::first_item(); item < items; item += at::item_step()) {
    const int block_n = wgmma_item<layer, tile>(args, item).block_n;
    const int n_tile = valid_n_tile<layer, tile>(block_n, t)
                           ? packed_n_tile<layer, tile>(block_n, t)
                           : (int)(layer::padded_n / 16) - 1;
    for (int kt = first; kt < last; ++kt) {
      u8 *stage = rings.weights(ring.slot);
      mbarrier *full = rings.weights_full(ring.slot);
      mbarrier_wait(rings.weights_empty(ring.slot), ring.parity ^ 1);
      if (t == 0)
        mbarrier_arrive_expect(full, plan::weight_copy_bytes);
      warp_barrier();
      if (t < plan::base::n_tiles) {
        if constexpr (has_plane<layer::bits, 8>::value)
          wgmma_load_plane<layer, tile, 8>(stage, args, n_tile, t, kt, full);
        if constexpr (has_plane<layer::bits, 4>::value)
          wgmma_load_plane<layer, tile, 4>(stage, args, n_tile, t, kt, full);
        if constexpr (has_plane<layer::bits, 2>::value)
          wgmma_load_plane<layer, tile, 2>(stage, args, n_tile, t, kt, full);
        if constexpr (has_plane<layer::bits, 1>::value)
          wgmma_load_plane<layer, tile, 1>(stage, args, n_tile, t, kt, full);
        const i64 row =
            (i64)n_tile * layer::padded_groups + wgmma_first_group<layer, tile>(args, kt);
        u8 *scales = stage + plan::base::weight_bytes;
        bulk_load(scales + t * (plan::scale_rows * 32), args.scales + row * 16,
                  plan::scale_rows * 32, full);
        if constexpr (!layer::sym)
          bulk_load(scales + plan::scale_bytes + t * (plan::scale_rows * 16), args.zeros + row * 16,
                    plan::scale_rows * 16, full);
      }
      ring.advance();
    }
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_LOAD_CUH
