// Where the warps that share rows of a gemv layer, each with its part of k, add their sums up
// (sm_90): the k warps of a block and of its cluster. Each of them owns some fragments of the rows;
// every warp sends its sums of a fragment to the owner (in a cluster by asynchronous stores, which
// complete the owner's barrier themselves) and goes on with its next item. The owner adds the parts
// up in the order of k later on, when they have long arrived. Warps with other rows are not
// involved.
//
// Fragment f (an m16n8 accumulator; with two parts that of the gate rows and that of the up rows)
// belongs to rank f % split_k, and there to k warp f / split_k % k_warps.
#ifndef GPTQC_TEMPLATES_ROWS_EXCHANGE_CUH
#define GPTQC_TEMPLATES_ROWS_EXCHANGE_CUH

#include "gptqc/epilogue.cuh"
#include "gptqc/weight_stream.cuh"

namespace gptqc {

/// Stores one fragment of an item: n16 tile t of each part, m8 tile j; tails as in store_tile.
template <typename layer, typename tile>
GPTQC_DEVICE void store_fragment(const linear_args &args, int item, int block_m, int t, int j,
                                 const float (&value)[4], const float (&up)[4]) {
  using g = gemv_shape<layer, tile>;
  const int row = lane_id() / 4, token = block_m * tile::m + j * 8 + lane_id() % 4 * 2;
  const i64 first = ((i64)item * g::tiles_per_part + t) * 16 + row;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const i64 column = first + (i / 2) * 8;
    if (token + (i & 1) < args.m && column < layer::n / layer::parts)
      args.y[(token + (i & 1)) * args.ldy + column] =
          layer::out::from_float(finish_element<layer>(args, value[i], up[i], column));
  }
}

/// In shared memory: a box [n_warps][owned][k_parts][parts][32][4] of fp32 for the fragments that
/// this block owns, one item at a time; the barriers "full" of each k warp's units of X; of each
/// warp "met", the parts of its fragments are there; of each row of warps "left", the owners have
/// read the item and the box may be written again.
template <typename layer, typename tile> struct rows_exchange {
  using g = gemv_shape<layer, tile>;
  static constexpr int k_parts = tile::split_k * tile::k_warps;
  static constexpr int fragments = g::tiles_per_part * g::m_tiles;
  static constexpr int owned = k_parts > 1 ? ceil_div(fragments, tile::split_k) : 0; // at most
  static constexpr int fragment_floats = 128 * layer::parts;
  static constexpr int box_floats = owned * k_parts * fragment_floats; // of a row of warps
  static constexpr int units = tile::k_warps * g::slice_units, mets = tile::n_warps * tile::k_warps;
  static constexpr int barriers = units + mets + tile::n_warps;
  float *box; // of this row of warps
  mbarrier *full, *met, *left;
  int sent, item; // items sent so far; the last one

  __device__ __forceinline__ rows_exchange(float *shared)
      : box(shared + place<tile>::n_warp() * box_floats),
        full((mbarrier *)(shared + tile::n_warps * box_floats)),
        met(full + units + place<tile>::n_warp() * tile::k_warps),
        left(full + units + mets + place<tile>::n_warp()), sent(0), item(0) {}

  /// By all threads, before anything else. The cluster has seen it behind cluster_wait.
  __device__ __forceinline__ void initialize() {
#pragma unroll 1
    for (int i = warp_id(); i < barriers && lane_id() == 0; i += mets) { // lanes would take turns
      // Of "met" the owner announces the bytes; within a block, every part arrives.
      constexpr int met_count = tile::split_k > 1 ? 1 : k_parts;
      const int count = i < units          ? tile::n_warps
                        : i < units + mets ? met_count
                                           : min_of(fragments, k_parts);
      mbarrier_init(full + i, (u32)count);
    }
    warp_barrier();
    if constexpr (tile::split_k > 1) {
      mbarrier_fence_init();
      cluster_arrive_relaxed();
    }
    block_barrier();
  }

  static __device__ __forceinline__ int rank() {
    return tile::split_k > 1 ? (int)cluster_rank() : 0;
  }
  /// Fragments that this warp owns.
  static __device__ __forceinline__ int mine() {
    const int here = (fragments - rank() + tile::split_k - 1) / tile::split_k;
    return (here - place<tile>::k_warp() + tile::k_warps - 1) / tile::k_warps;
  }

  /// Into the box of block `rank`; asynchronous stores need a cluster.
  static __device__ __forceinline__ void put(float *to, mbarrier *completes, u32 rank,
                                             const float (&v)[4]) {
    if constexpr (tile::split_k > 1)
      store_cluster_async_f32x4(to, completes, rank, v);
    else
      *(u32x4 *)to = {__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]),
                      __float_as_uint(v[3])};
  }

  /// Sends this warp's sums of an item to their owners; without parts of k, stores them.
  __device__ __forceinline__ void send(const linear_args &args,
                                       const float (&acc)[g::n_tiles][g::m_tiles][4], int of_item,
                                       int block_m) {
    if constexpr (k_parts == 1) {
#pragma unroll
      for (int f = 0; f < fragments; ++f)
        store_fragment<layer, tile>(
            args, of_item, block_m, f / g::m_tiles, f % g::m_tiles,
            acc[f / g::m_tiles][f % g::m_tiles],
            acc[f / g::m_tiles + (layer::parts - 1) * g::tiles_per_part][f % g::m_tiles]);
    } else {
      const int k_warp = place<tile>::k_warp();
      if (sent > 0)
        mbarrier_wait(left, (sent - 1) & 1);
      if (tile::split_k > 1 && lane_id() == 0 && mine() > 0)
        mbarrier_arrive_expect(met + k_warp, (u32)(mine() * k_parts * fragment_floats * 4));
      float *to = box + (rank() * tile::k_warps + k_warp) * fragment_floats + lane_id() * 4;
#pragma unroll
      for (int f = 0; f < fragments; ++f) {
        const int slot = f / tile::split_k;
#pragma unroll
        for (int part = 0; part < layer::parts; ++part)
          put(to + slot * k_parts * fragment_floats + part * 128, met + slot % tile::k_warps,
              f % tile::split_k, acc[f / g::m_tiles + part * g::tiles_per_part][f % g::m_tiles]);
      }
      if constexpr (tile::split_k == 1) {
        warp_barrier();
        if (lane_id() < min_of(fragments, k_parts))
          mbarrier_arrive(met + lane_id());
      }
      item = of_item;
      ++sent;
    }
  }

  /// Adds the parts of this warp's fragments of the last item up, in order, and stores them; once
  /// an item. Behind the last one nobody waits for the box: what this block was sent has arrived,
  /// and it may end.
  template <bool last>
  __device__ __forceinline__ void settle(const linear_args &args, int block_m) {
    if (sent == 0 || mine() <= 0)
      return;
    mbarrier_wait(met + place<tile>::k_warp(), (sent - 1) & 1);
#pragma unroll 1
    for (int slot = place<tile>::k_warp(); slot * tile::split_k + rank() < fragments;
         slot += tile::k_warps) {
      const float *from = box + slot * k_parts * fragment_floats + lane_id() * 4;
      float sums[layer::parts][4] = {};
#pragma unroll 8
      for (int k = 0; k < k_parts; ++k)
#pragma unroll
        for (int part = 0; part < layer::parts; ++part) {
          const u32x4 v = *(const u32x4 *)(from + k * fragment_floats + part * 128);
          sums[part][0] += __uint_as_float(v.x), sums[part][1] += __uint_as_float(v.y);
          sums[part][2] += __uint_as_float(v.z), sums[part][3] += __uint_as_float(v.w);
        }
      const int f = slot * tile::split_k + rank();
      store_fragment<layer, tile>(args, item, block_m, f / g::m_tiles, f % g::m_tiles, sums[0],
                                  sums[layer::parts - 1]);
    }
    if constexpr (last)
      return;
    warp_barrier();
    if constexpr (tile::split_k > 1) {
      if (lane_id() < tile::split_k)
        mbarrier_arrive_at(left, (u32)lane_id());
    } else if (lane_id() == 0) {
      mbarrier_arrive(left);
    }
  }

  /// In front of each unit of an item: settles the item before it once half of this one is done.
  __device__ __forceinline__ void
  settle_at(const linear_args &args, const unit_range<layer, tile> &range, int unit, int block_m) {
    if (k_parts > 1 && unit == (range.begin + range.end) / 2)
      settle<false>(args, block_m);
  }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_ROWS_EXCHANGE_CUH
