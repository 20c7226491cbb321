// What a block of a persistent grid computes, and how the blocks of a cluster meet. Persistent
// kernels have one more fact in `tile`: cluster, the blocks of a cluster, 1 without clusters. An
// *item* is what a cluster computes before it moves on.
#ifndef GPTQC_TEMPLATES_ITEMS_CUH
#define GPTQC_TEMPLATES_ITEMS_CUH

#include "gptqc/base.cuh"
#include "gptqc/ptx/cluster.cuh"
#include "gptqc/ptx/warp.cuh"

namespace gptqc {

/// The first item of this block's cluster, and the distance to its next.
template <typename tile> GPTQC_DEVICE int first_item() { return blockIdx.x / tile::cluster; }
template <typename tile> GPTQC_DEVICE int item_step() { return gridDim.x / tile::cluster; }

/// Waits for all threads of the cluster and orders their memory accesses.
GPTQC_DEVICE void cluster_barrier() {
  cluster_arrive();
  cluster_wait();
}

/// Ends a block: none leaves while another of its cluster may still reach its shared memory. An
/// arrival that released nothing could overtake what this thread sent to other blocks, and they
/// would end before it lands. All threads call it.
GPTQC_DEVICE void leave_cluster() {
  warp_barrier();
  cluster_barrier();
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_ITEMS_CUH
