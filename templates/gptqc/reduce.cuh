// Sums over k that end a tile: over the k warps of a block through shared memory, and over the
// splits of the grid through the workspace. Both add in a fixed order, so results do not depend on
// timing.
#ifndef GPTQC_TEMPLATES_REDUCE_CUH
#define GPTQC_TEMPLATES_REDUCE_CUH

#include "gptqc/ptx/atomic.cuh"
#include "gptqc/tile.cuh"

namespace gptqc {

/// Writes the warps' accumulators to sums[k_warp][m][reduce_stride] and adds the k warps up into
/// sums[0]. Ends with a block barrier.
template <typename layer, typename tile>
GPTQC_DEVICE void
reduce_warps(float *sums,
             const float (&acc)[shape<layer, tile>::warp_n_tiles][shape<layer, tile>::m_tiles][4]) {
  using s = shape<layer, tile>;
  block_barrier(); // the pipeline stages that sums overlays are free
  float *slice = sums + place<tile>::k_warp() * (tile::m * s::reduce_stride);
  const int r = lane_id() / 4, c = lane_id() % 4 * 2;
#pragma unroll
  for (int t = 0; t < s::warp_n_tiles; ++t) {
    const int n = (place<tile>::n_warp() * s::warp_n_tiles + t) * 16 + r;
#pragma unroll
    for (int j = 0; j < s::m_tiles; ++j) {
      const int m = (place<tile>::m_warp() * s::m_tiles + j) * 8 + c;
      slice[m * s::reduce_stride + n] = acc[t][j][0];
      slice[(m + 1) * s::reduce_stride + n] = acc[t][j][1];
      slice[m * s::reduce_stride + n + 8] = acc[t][j][2];
      slice[(m + 1) * s::reduce_stride + n + 8] = acc[t][j][3];
    }
  }
  block_barrier();
  if constexpr (tile::k_warps > 1) {
    for (int i = threadIdx.x; i < tile::m * tile::n; i += s::threads) {
      const int at = i / tile::n * s::reduce_stride + i % tile::n;
      float sum = sums[at];
#pragma unroll
      for (int k = 1; k < tile::k_warps; ++k)
        sum += sums[k * (tile::m * s::reduce_stride) + at];
      sums[at] = sum;
    }
    block_barrier();
  }
}

/// Workspace: one u32 counter per tile, then from counter_bytes on fp32 [tile][split][m * n].
/// The last block of a tile to arrive adds the splits up in order, leaves the counter at zero and
/// returns true; the others return false and are done.
template <typename layer, typename tile>
GPTQC_DEVICE bool reduce_split_k(float *sums, const linear_args &args) {
  using s = shape<layer, tile>;
  constexpr int tile_size = tile::m * tile::n;
  const i64 tile_index = (i64)blockIdx.y * gridDim.x + blockIdx.x;
  u32 *counters = (u32 *)args.workspace;
  float *partials = (float *)(args.workspace + args.counter_bytes);
  float *mine = partials + (tile_index * tile::split_k + blockIdx.z) * tile_size;
  for (int i = threadIdx.x; i < tile_size; i += s::threads)
    mine[i] = sums[i / tile::n * s::reduce_stride + i % tile::n];
  fence_device();
  u32 *arrived_before = (u32 *)(sums + tile::n); // a word of the padding behind row 0
  block_barrier();
  if (threadIdx.x == 0)
    *arrived_before = count_in(counters + tile_index);
  block_barrier();
  if (*arrived_before != tile::split_k - 1)
    return false;
  fence_device();
  if (threadIdx.x == 0)
    counters[tile_index] = 0;
  const float *first = partials + tile_index * tile::split_k * tile_size;
  for (int i = threadIdx.x; i < tile_size; i += s::threads) {
    float sum = load_uncached(first + i);
#pragma unroll
    for (int split = 1; split < tile::split_k; ++split)
      sum += load_uncached(first + split * tile_size + i);
    sums[i / tile::n * s::reduce_stride + i % tile::n] = sum;
  }
  block_barrier();
  return true;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_REDUCE_CUH
