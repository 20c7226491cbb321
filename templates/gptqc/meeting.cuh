// Where the blocks of a cluster that share the k of a gemv layer add their sums up (sm_90). The
// blocks take turns in owning items; every block sends its sums of an item to the owner's shared
// memory by asynchronous stores, which complete the owner's barrier themselves: no sender waits for
// its stores. The owner adds the sums up in the order of the ranks.
#ifndef GPTQC_TEMPLATES_MEETING_CUH
#define GPTQC_TEMPLATES_MEETING_CUH

#include "gptqc/gemv.cuh"
#include "gptqc/items.cuh"

namespace gptqc {

/// Used by the reducing warps alone. Two buffers for the items that this block owns, each with a
/// barrier "met" (the bytes of all blocks are there); and for every owner's buffers a barrier
/// "left" (it may be written again), by which the owner tells each block.
template <typename layer, typename tile> struct splits_meeting {
  static constexpr int tile_floats = tile::m * tile::n;
  float *sums;    // [2][split_k][m][n]
  mbarrier *met;  // [2]
  mbarrier *left; // [split_k][2]
  int count;      // items so far

  __device__ __forceinline__ splits_meeting(float *shared)
      : sums(shared), met((mbarrier *)(shared + 2 * tile::split_k * tile_floats)), left(met + 2),
        count(0) {}

  /// By the first reducing thread; a cluster barrier must follow.
  __device__ __forceinline__ void initialize() {
    if (threadIdx.x != tile::k_warps * 32)
      return;
    for (int i = 0; i < 2; ++i)
      mbarrier_init(met + i, 1); // the owner announces the bytes
    for (int i = 0; i < 2 * tile::split_k; ++i)
      mbarrier_init(left + i, tile::reduce_warps);
    mbarrier_fence_init();
  }

  __device__ __forceinline__ int owner() const { return count % tile::split_k; }
  __device__ __forceinline__ int buffer() const { return count / tile::split_k & 1; }
  __device__ __forceinline__ int round() const { return count / (2 * tile::split_k); }

  /// Adds this block's k warps up, in order, and sends the sums of the item to its owner.
  __device__ __forceinline__ void send(const linear_args &args, const float *posted, int block_m) {
    if (round() > 0)
      mbarrier_wait(left + owner() * 2 + buffer(), (round() - 1) & 1);
    const int rows = (int)min_of((i64)tile::m, (i64)args.m - (i64)block_m * tile::m);
    const int thread = threadIdx.x - tile::k_warps * 32, rank = (int)cluster_rank();
    if (rank == owner() && thread == 0)
      mbarrier_arrive_expect(met + buffer(), (u32)(tile::split_k * rows * tile::n * 4));
    float *to = sums + (buffer() * tile::split_k + rank) * tile_floats;
    for (int i = thread * 4; i < rows * tile::n; i += tile::reduce_warps * 128) {
      float v[4];
#pragma unroll
      for (int j = 0; j < 4; ++j)
        v[j] = sum_of_warps<layer, tile>(posted, i / tile::n, i % tile::n + j);
      store_cluster_async_f32x4(to + i, met + buffer(), (u32)owner(), v);
    }
  }

  /// The owner: waits for the sums of all blocks and stores the item.
  __device__ __forceinline__ void store(const linear_args &args, int item, int block_m) {
    if ((int)cluster_rank() == owner()) {
      mbarrier_wait(met + buffer(), round() & 1);
      const float *first = sums + buffer() * tile::split_k * tile_floats;
      store_item<layer, tile>(args, item, block_m, [&](int m, int c) {
        float sum = first[m * tile::n + c];
#pragma unroll
        for (int rank = 1; rank < tile::split_k; ++rank)
          sum += first[rank * tile_floats + m * tile::n + c];
        return sum;
      });
      warp_barrier();
      if (lane_id() < tile::split_k)
        mbarrier_arrive_at(left + owner() * 2 + buffer(), (u32)lane_id());
    }
    ++count;
  }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_MEETING_CUH
