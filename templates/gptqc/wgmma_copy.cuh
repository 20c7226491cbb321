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
  using plan = wgmma_plan<layer, tile>;
  for (int i = 0; i < plan::x_slots; ++i) {
    mbarrier_init(ring.full(i), 1);
    // Each warp that reads a slot arrives: nothing else keeps the warps of a warpgroup together.
    mbarrier_init(ring.empty(i), plan::n_groups * 4 * tile::multicast);
  }
  mbarrier_fence_init();
}

/// Says that this thread has started, and made what it makes; wgmma_begin waits for all that are
/// needed. Who fills a ring of its own block's waits for nobody.
template <typename layer, typename tile> GPTQC_DEVICE void wgmma_arrive(bool feeds) {
  if constexpr (tile::multicast > 1)
    cluster_arrive_relaxed();
  else if (feeds)
    named_barrier_arrive(1, wgmma_plan<layer, tile>::threads);
}

/// The barrier behind which the ring of X may be used, by the cluster where it is shared.
template <typename layer, typename tile> GPTQC_DEVICE void wgmma_begin(bool feeds) {
  if constexpr (tile::multicast > 1)
    cluster_wait();
  else if (!feeds)
    named_barrier_sync(1, wgmma_plan<layer, tile>::threads);
}

/// Fills the ring of X for all items of the block, slot by slot of x_blocks x [m][64]; one lane.
/// `x` maps [M][K] in boxes of [m / multicast][64] with the 128-byte swizzle; what lies outside
/// reads as zero.
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
  ring_cursor<plan::x_slots> cursor;
  await_predecessors();
  for (int item = first_item<tile>(); item < items; item += item_step<tile>()) {
    const int m = wgmma_item<layer, tile>(args, item, 0).block_m * tile::m + first_row;
    for (int block = first; block < last; block += plan::x_blocks) {
      u8 *to = ring.slot(cursor.slot) + first_row * 128;
      mbarrier *full = ring.full(cursor.slot);
      mbarrier_wait(ring.empty(cursor.slot), cursor.parity ^ 1);
      mbarrier_arrive_expect(full, plan::x_slot_bytes);
#pragma unroll 2 // a loop waits until the copy engine has its operands; registers are few
      for (int i = 0; i < plan::x_blocks; ++i, to += plan::x_block_bytes) {
        if constexpr (tile::multicast > 1)
          tma_load_2d_multicast(to, x, (block + i) * 64, m, full, blocks);
        else
          tma_load_2d(to, x, (block + i) * 64, m, full);
      }
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
  wgmma_arrive<layer, tile>(true);
  wgmma_begin<layer, tile>(true);
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
  static constexpr int slot_bytes = plan::fragments * plan::unit_bytes;
  // Whether the rows of scales of all n16 tiles follow each other as their columns do.
  static constexpr u32 group_k = max_of(1, layer::group_steps) * 16;
  static constexpr bool dense_groups = !layer::ragged && whole_k &&
                                       (i64)layer::padded_groups * group_k == layer::padded_k &&
                                       (group_k % unit_k == 0 || unit_k % group_k == 0);

  u8 *shared;
  int base;   // the warp's ring there, at the lane's 16 bytes of a chunk
  int row_at; // from there to the lane's row of scales
  int n_group, k_group;
  int first, last;              // rounds of an item
  int item, items, round;       // next to copy; items that this warpgroup has a part in
  int copy_at, read_at;         // slots, in bytes
  u32 columns[plan::fragments]; // packed columns in front of the next unit, n16 tile by n16 tile
  u32 groups[plan::fragments];  // the same in groups, of the tile's first; if they are not dense
  const u8 *weights;            // at the lane's 16 bytes of a chunk

  /// Takes the registers that the feeding warpgroup gave up and starts the copies of the first
  /// units.
  __device__ __forceinline__ wgmma_stream(u8 *shared, const linear_args &args)
      : shared(shared),
        base(opaque(plan::weights_at + warp_id() * plan::warp_ring_bytes + lane_id() * 16)),
        row_at(opaque(lane_id() / 4 * 2 - lane_id() * 16)),
        n_group(warpgroup_id() % plan::n_groups),
        k_group(plan::k_groups == 1 ? 0 : warpgroup_id() / plan::n_groups),
        first(first_k_tile<layer, tile>(at::split())), last(last_k_tile<layer, tile>(at::split())),
        item(first_item<tile>()), round(last), copy_at(0), read_at(0),
        weights(args.weights + lane_id() * 16) {
    wgmma_arrive<layer, tile>(false);
    raise_registers<plan::consumer_registers>();
    const wgmma_walk<layer, tile> walk(args);
    items =
        wgmma_item<layer, tile>(args, walk.whole + item, n_group).works ? walk.items() : walk.whole;
    item -= item_step<tile>();
#pragma unroll 1
    for (int i = 0; i < tile::weight_stages - 1; ++i)
      copy_next(args);
  }

  /// The n16 tile of part `part` of the block's that a warp has in fragment f: gate and up rows of
  /// the same columns lie two warps apart.
  __device__ __forceinline__ static int part_tile(int group, int f) {
    constexpr int tiles = 4 / layer::parts; // of a part in a warpgroup
    return (f * plan::n_groups + group) * tiles + warp_id() % tiles;
  }
  __device__ __forceinline__ static int part() { return layer::parts == 1 ? 0 : warp_id() % 4 / 2; }

  /// Goes to the next item, if there is one. Tiles behind the packed rows read the last one; their
  /// results are not stored.
  __device__ __forceinline__ bool next_item(const linear_args &args) {
    item += item_step<tile>();
    if (item >= items)
      return false;
    const wgmma_item<layer, tile> next(args, item, n_group);
#pragma unroll
    for (int f = 0; f < plan::fragments; ++f) {
      const int tile_n = part() * plan::tiles_per_part + part_tile(next.n_group, f);
      const u32 n_tile =
          min_of(packed_n_tile<layer, tile>(next.block_n, tile_n), (int)(layer::padded_n / 16) - 1);
      columns[f] = n_tile * (u32)layer::padded_k + first * tile::k + k_group * unit_k;
      groups[f] = n_tile * layer::padded_groups;
    }
    round = first;
    return true;
  }

  template <int width>
  __device__ __forceinline__ void copy_plane(u8 *to, const linear_args &args, int f) const {
    constexpr int chunk_k = 256 / width, chunks = unit_k / chunk_k;
    static_assert(unit_k % chunk_k == 0, "a unit must hold whole chunks of every plane");
    to += plane_offset<layer, width>((i64)16 * unit_k);
    const u8 *from = weights + plane_offset<layer, width>(layer::padded_n * layer::padded_k) +
                     (u64)columns[f] * (2 * width);
    const int k = round * tile::k + k_group * unit_k;
#pragma unroll
    for (int c = 0; c < chunks; ++c) {
      if (whole_k || k + c * chunk_k < layer::padded_k)
        copy_async_16(to + c * 512, from + c * 512, 16);
      else // behind the packed columns: zeros
        copy_async_16(to + c * 512, args.weights, 0);
    }
  }

  /// Copies `pieces` x 16 bytes; `to` and `from` are the lane's own first ones.
  template <int pieces> __device__ __forceinline__ static void copy_pieces(u8 *to, const u8 *from) {
#pragma unroll
    for (int i = 0; i < pieces; i += 32)
      if (i + lane_id() < pieces)
        copy_async_16(to + i * 16, from + i * 16, 16);
  }

  __device__ __forceinline__ void copy_scales(u8 *to, const linear_args &args, int f) const {
    const u32 row = dense_groups ? columns[f] / group_k : groups[f] + first_group(args, round);
    const int lane = lane_id() * 16;
    copy_pieces<2 * plan::scale_rows>(to + plan::scales_at,
                                      (const u8 *)args.scales + lane + (u64)row * 32);
    if constexpr (!layer::sym)
      copy_pieces<plan::scale_rows>(to + plan::zeros_at, args.zeros + lane + (u64)row * 16);
  }

  __device__ __forceinline__ static int next_slot(int at) {
    return at == (tile::weight_stages - 1) * slot_bytes ? 0 : at + slot_bytes;
  }

  /// Starts the copy of the next unit, if there is one, and closes its group.
  __device__ __forceinline__ void copy_next(const linear_args &args) {
    if (round != last || next_item(args)) {
#pragma unroll
      for (int f = 0; f < plan::fragments; ++f) {
        u8 *to = shared + (base + copy_at) + f * plan::unit_bytes;
        copy_scales(to, args, f);
        if constexpr (has_plane<layer::bits, 8>::value)
          copy_plane<8>(to, args, f);
        if constexpr (has_plane<layer::bits, 4>::value)
          copy_plane<4>(to, args, f);
        if constexpr (has_plane<layer::bits, 2>::value)
          copy_plane<2>(to, args, f);
        if constexpr (has_plane<layer::bits, 1>::value)
          copy_plane<1>(to, args, f);
        columns[f] += tile::k;
      }
      ++round;
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
    return current();
  }
  /// The lane's 16 bytes of the unit that is open.
  __device__ __forceinline__ const u8 *current() const { return shared + (base + read_at); }
  __device__ __forceinline__ void close() { read_at = next_slot(read_at); }

  /// The first k16 step of the unit of round `kt`.
  __device__ __forceinline__ int first_step(int kt) const {
    return kt * (tile::k / 16) + k_group * (unit_k / 16);
  }
  /// Whether scale_row is known when the kernel is compiled.
  static constexpr bool fixed_rows =
      !layer::ragged && (layer::group_steps % (unit_k / 16) == 0 ||
                         (unit_k / 16 % max_of(1, layer::group_steps) == 0 && whole_k));
  /// The first row of scales of the unit; scale_rows from there on exist.
  __device__ __forceinline__ int first_group(const linear_args &args, int kt) const {
    if constexpr (fixed_rows && whole_k)
      return first_step(kt) / max_of(1, layer::group_steps);
    else
      return min_of(group_of_step<layer>(args, first_step(kt)),
                    layer::padded_groups - plan::scale_rows);
  }
  /// Row in the unit's scales of its step `step`.
  __device__ __forceinline__ int scale_row(const linear_args &args, int kt, int step) const {
    if constexpr (fixed_rows)
      return step / max_of(1, layer::group_steps);
    else
      return group_of_step<layer>(args, first_step(kt) + step) - first_group(args, kt);
  }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_COPY_CUH
