// Global to shared memory for the wgmma family: X by the copy engine, the weights of each warp by
// its own asynchronous copies.
#ifndef GPTQC_TEMPLATES_WGMMA_COPY_CUH
#define GPTQC_TEMPLATES_WGMMA_COPY_CUH

#include "gptqc/copy_weights.cuh"
#include "gptqc/predecessors.cuh"
#include "gptqc/ptx/tma.cuh"
#include "gptqc/wgmma_plan.cuh"

namespace gptqc {

/// Makes the ring of X; one lane. wgmma_begin publishes it.
template <typename layer, typename tile>
GPTQC_DEVICE void wgmma_make_ring(const wgmma_ring<layer, tile> &ring) {
  for (int i = 0; i < tile::stages; ++i) {
    mbarrier_init(ring.full(i), 1);
    // Each warp that reads a slot arrives: nothing else keeps the warps of a warpgroup together.
    mbarrier_init(ring.empty(i), wgmma_plan<layer, tile>::n_groups * 4 * tile::multicast);
  }
  mbarrier_fence_init();
}

/// The barrier behind which the ring of X may be used, by the cluster where it is shared. All
/// threads call it.
template <typename layer, typename tile> GPTQC_DEVICE void wgmma_begin() {
  if constexpr (tile::multicast > 1) {
    cluster_arrive_relaxed();
    cluster_wait();
  } else {
    block_barrier();
  }
}

/// Fills the ring of X for all items of the block, one slot of [m][64] after another; one lane. `x`
/// maps [M][K] in boxes of [m / multicast][64] with the 128-byte swizzle; what lies outside reads
/// as zero.
template <typename layer, typename tile>
GPTQC_DEVICE void wgmma_fill_ring(const wgmma_ring<layer, tile> &ring, const linear_args &args,
                                  const tensor_map &x) {
  using plan = wgmma_plan<layer, tile>;
  using at = wgmma_place<tile>;
  constexpr int rows = tile::m / tile::multicast; // that this block loads for its peers
  constexpr u32 peers = (1u << tile::multicast) - 1;
  const u16 blocks = (u16)(peers << (at::split() * tile::multicast));
  const int first_row = at::row_tile() * rows;
  const int first = first_k_tile<layer, tile>(at::split()) * (tile::k / 64);
  const int last = last_k_tile<layer, tile>(at::split()) * (tile::k / 64);
  const int items = wgmma_items<layer, tile>(args);
  ring_cursor<tile::stages> cursor;
  await_predecessors();
  for (int item = first_item<tile>(); item < items; item += item_step<tile>()) {
    const int m = wgmma_item<layer, tile>(args, item).block_m * tile::m + first_row;
    for (int block = first; block < last; ++block) {
      u8 *to = ring.slot(cursor.slot) + first_row * 128;
      mbarrier *full = ring.full(cursor.slot);
      mbarrier_wait(ring.empty(cursor.slot), cursor.parity ^ 1);
      mbarrier_arrive_expect(full, plan::x_stage_bytes);
      if constexpr (tile::multicast > 1)
        tma_load_2d_multicast(to, x, block * 64, m, full, blocks);
      else
        tma_load_2d(to, x, block * 64, m, full);
      cursor.advance();
    }
  }
}

/// Whether this warpgroup feeds the others.
template <typename layer, typename tile> GPTQC_DEVICE bool wgmma_feeds() {
  return warpgroup_id() == wgmma_plan<layer, tile>::consumers;
}

/// What the feeding warpgroup does: its first lane loads X, the others only keep it company,
/// because registers are handed around by whole warpgroups.
template <typename layer, typename tile>
GPTQC_DEVICE void wgmma_feed(u8 *shared, const linear_args &args, const tensor_map &x) {
  using plan = wgmma_plan<layer, tile>;
  lower_registers<plan::producer_registers>();
  const wgmma_ring<layer, tile> ring(shared);
  const bool works = threadIdx.x == plan::consumers * 128;
  if (works) {
    tma_prefetch_map(x);
    wgmma_make_ring<layer, tile>(ring);
  }
  warp_barrier();
  wgmma_begin<layer, tile>();
  if (works)
    wgmma_fill_ring<layer, tile>(ring, args, x);
  warp_barrier();
  if constexpr (tile::split_k > 1) { // the barrier in wgmma_exchange
    cluster_arrive();
    cluster_wait();
  }
}

/// A consumer warp's stream of units: its columns of each round, its rows of each item, in order.
/// Copies run weight_stages - 1 units ahead, across items.
template <typename layer, typename tile> struct wgmma_stream {
  using plan = wgmma_plan<layer, tile>;
  using at = wgmma_place<tile>;
  static constexpr int unit_k = wgmma_unit<tile>::k;
  static constexpr bool whole_k = layer::padded_k % tile::k == 0;
  static constexpr int pieces = layer::sym ? 2 : 3; // of 16 bytes in a row of scales

  u8 *base; // the warp's ring
  int n_group, k_group;
  int first, last;             // rounds of an item
  int item, items, round;      // next to copy
  int copy_at, read_at;        // slots, in bytes
  int n_tile[plan::fragments]; // packed n16 tile of that item

  __device__ __forceinline__ wgmma_stream(u8 *shared, const linear_args &args)
      : base(shared + plan::weights_at + warp_id() * plan::warp_ring_bytes),
        n_group(warpgroup_id() % plan::n_groups),
        k_group(plan::k_groups == 1 ? 0 : warpgroup_id() / plan::n_groups),
        first(first_k_tile<layer, tile>(at::split())), last(last_k_tile<layer, tile>(at::split())),
        item(first_item<tile>()), items(wgmma_items<layer, tile>(args)), round(first), copy_at(0),
        read_at(0) {
    raise_registers<plan::consumer_registers>();
    seek(args);
#pragma unroll
    for (int i = 0; i < tile::weight_stages - 1; ++i)
      copy_next(args);
  }

  /// The block's local n16 tile that this warp has in fragment f.
  __device__ __forceinline__ int local_tile(int f) const {
    return (f * plan::n_groups + n_group) * 4 + warp_id() % 4;
  }

  /// Tiles behind the packed rows read the last one; their results are not stored.
  __device__ __forceinline__ void seek(const linear_args &args) {
    const int block_n = wgmma_item<layer, tile>(args, item).block_n;
#pragma unroll
    for (int f = 0; f < plan::fragments; ++f)
      n_tile[f] = min_of(packed_n_tile<layer, tile>(block_n, local_tile(f)),
                         (int)(layer::padded_n / 16) - 1);
  }

  template <int width>
  __device__ __forceinline__ void copy_plane(u8 *to, const linear_args &args, int row_tile) const {
    constexpr int chunk_k = 256 / width, chunks = unit_k / chunk_k;
    constexpr int layer_chunks = (int)(layer::padded_k / chunk_k);
    static_assert(unit_k % chunk_k == 0, "a unit must hold whole chunks of every plane");
    const int chunk = round * (tile::k / chunk_k) + k_group * chunks;
    to += plane_offset<layer, width>((i64)16 * unit_k) + lane_id() * 16;
    const u8 *from = args.weights + plane_offset<layer, width>(layer::padded_n * layer::padded_k) +
                     ((i64)row_tile * layer_chunks + chunk) * 512 + lane_id() * 16;
#pragma unroll
    for (int c = 0; c < chunks; ++c) {
      if (whole_k || chunk + c < layer_chunks)
        copy_async_16(to + c * 512, from + c * 512, 16);
      else // behind the packed columns: zeros
        copy_async_16(to + c * 512, args.weights, 0);
    }
  }

  __device__ __forceinline__ void copy_scales(u8 *to, const linear_args &args, int row_tile) const {
    const i64 row = (i64)row_tile * layer::padded_groups + first_group(args, round);
#pragma unroll
    for (int i = 0; i < plan::scale_rows * pieces; i += 32) {
      const int j = i + lane_id(), r = j / pieces, piece = j % pieces;
      if (j < plan::scale_rows * pieces) {
        if (piece < 2)
          copy_async_16(to + plan::scales_at + r * 32 + piece * 16,
                        args.scales + (row + r) * 16 + piece * 8, 16);
        else
          copy_async_16(to + plan::zeros_at + r * 16, args.zeros + (row + r) * 16, 16);
      }
    }
  }

  __device__ __forceinline__ static int next_slot(int at) {
    constexpr int bytes = plan::fragments * plan::unit_bytes;
    return at == (tile::weight_stages - 1) * bytes ? 0 : at + bytes;
  }

  /// Starts the copy of the next unit, if there is one, and closes its group.
  __device__ __forceinline__ void copy_next(const linear_args &args) {
    if (item < items) {
#pragma unroll
      for (int f = 0; f < plan::fragments; ++f) {
        u8 *to = base + copy_at + f * plan::unit_bytes;
        if constexpr (has_plane<layer::bits, 8>::value)
          copy_plane<8>(to, args, n_tile[f]);
        if constexpr (has_plane<layer::bits, 4>::value)
          copy_plane<4>(to, args, n_tile[f]);
        if constexpr (has_plane<layer::bits, 2>::value)
          copy_plane<2>(to, args, n_tile[f]);
        if constexpr (has_plane<layer::bits, 1>::value)
          copy_plane<1>(to, args, n_tile[f]);
        copy_scales(to, args, n_tile[f]);
      }
      if (++round == last) {
        round = first;
        item += item_step<tile>();
        if (item < items)
          seek(args);
      }
    }
    commit_copies();
    copy_at = next_slot(copy_at);
  }

  /// Waits for the next unit to read and starts a later one, into the slot that all lanes have
  /// read.
  __device__ __forceinline__ const u8 *open(const linear_args &args) {
    wait_copies<tile::weight_stages - 2>();
    warp_barrier();
    copy_next(args);
    return base + read_at;
  }
  /// The unit that is open.
  __device__ __forceinline__ const u8 *current() const { return base + read_at; }
  __device__ __forceinline__ void close() { read_at = next_slot(read_at); }

  /// The first k16 step of the unit of round `kt`.
  __device__ __forceinline__ int first_step(int kt) const {
    return kt * (tile::k / 16) + k_group * (unit_k / 16);
  }
  /// The first row of scales of the unit; scale_rows from there on exist.
  __device__ __forceinline__ int first_group(const linear_args &args, int kt) const {
    return min_of(group_of_step<layer>(args, first_step(kt)),
                  layer::padded_groups - plan::scale_rows);
  }
  /// Row in the unit's scales of its step `step`.
  __device__ __forceinline__ int scale_row(const linear_args &args, int kt, int step) const {
    constexpr int steps = unit_k / 16;
    if constexpr (!layer::ragged && layer::group_steps % steps == 0)
      return 0;
    else if constexpr (!layer::ragged && steps % max_of(1, layer::group_steps) == 0 && whole_k)
      return step / layer::group_steps;
    else
      return group_of_step<layer>(args, first_step(kt) + step) - first_group(args, kt);
  }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_COPY_CUH
