// The end of an item of the wgmma family: partial sums of warpgroups and of the blocks of a cluster
// added up in order, then bias, silu_mul, conversion and the store of Y.
#ifndef GPTQC_TEMPLATES_WGMMA_STORE_CUH
#define GPTQC_TEMPLATES_WGMMA_STORE_CUH

#include "gptqc/epilogue.cuh"
#include "gptqc/ptx/stmatrix.cuh"
#include "gptqc/wgmma_multiply.cuh"

namespace gptqc {

/// Four floats that move as one.
struct __align__(16) f32x4 {
  float x, y, z, w;
};

/// Adds the partial sums of a tile up, in the order of the splits of k, then of the warpgroups
/// along k. Each block and warpgroup along k gets share_tiles of the m8 tiles, from *first_tile on,
/// for the same rows that it had. Overlays the rings, so it ends the block's work. Consumers only;
/// the feeding warpgroup takes part in the barrier of the cluster.
template <typename layer, typename tile>
GPTQC_DEVICE void wgmma_exchange(
    float (&total)[wgmma_plan<layer, tile>::fragments][wgmma_plan<layer, tile>::share_tiles * 4],
    const float (&sums)[wgmma_plan<layer, tile>::fragments][tile::m / 2], u8 *shared,
    const wgmma_consumer<layer, tile> &consumer, int *first_tile) {
  using plan = wgmma_plan<layer, tile>;
  // [k group][n group][fragment][m8 tile][128 threads] of 16 bytes
  const auto slot = [&](int k_group, int f, int j) {
    const int at = ((k_group * plan::n_groups + consumer.stream.n_group) * plan::fragments + f) *
                       plan::m_tiles +
                   j;
    return shared + at * 2048 + (threadIdx.x % 128) * 16;
  };
  named_barrier_sync(1, plan::consumers * 128); // nobody reads the rings any more
#pragma unroll
  for (int f = 0; f < plan::fragments; ++f)
#pragma unroll
    for (int j = 0; j < plan::m_tiles; ++j)
      *(f32x4 *)slot(consumer.stream.k_group, f, j) = {sums[f][4 * j], sums[f][4 * j + 1],
                                                       sums[f][4 * j + 2], sums[f][4 * j + 3]};
  if constexpr (tile::split_k > 1) {
    cluster_arrive();
    cluster_wait();
  } else {
    named_barrier_sync(1, plan::consumers * 128);
  }
  const int split = wgmma_place<tile>::split();
  *first_tile = (split * plan::k_groups + consumer.stream.k_group) * plan::share_tiles;
  constexpr int batch = plan::shares > 2 ? 2 : 4; // m8 tiles whose loads are in flight together
#pragma unroll
  for (int f = 0; f < plan::fragments; ++f)
#pragma unroll
    for (int first = 0; first < plan::share_tiles; first += batch) {
      float part[batch][plan::shares][4];
#pragma unroll
      for (int j = 0; j < batch; ++j)
#pragma unroll
        for (int p = 0; p < plan::shares; ++p) {
          const int tile_m = min_of(*first_tile + first + j, plan::m_tiles - 1);
          const u8 *from = slot(p % plan::k_groups, f, tile_m);
          if constexpr (tile::split_k > 1) {
            load_cluster_f32x4(part[j][p], from,
                               p / plan::k_groups * tile::multicast +
                                   wgmma_place<tile>::row_tile());
          } else {
            const f32x4 v = *(const f32x4 *)from;
            part[j][p][0] = v.x, part[j][p][1] = v.y, part[j][p][2] = v.z, part[j][p][3] = v.w;
          }
        }
#pragma unroll
      for (int j = 0; j < min_of(batch, plan::share_tiles - first); ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float sum = part[j][0][i];
#pragma unroll
          for (int p = 1; p < plan::shares; ++p)
            sum += part[j][p][i];
          total[f][4 * (first + j) + i] = sum;
        }
    }
}

/// Where a warp stores its 16 rows: a lane has 8 of them for the tokens lane / 2, + 16, ...
struct wgmma_output {
  u16 *to;     // of the lane's first token and row
  int rows;    // of the lane that exist, up to 8; negative behind the last
  bool vector; // all 8 in one store
};

/// Stores up to 32 tokens from a warp's staging buffer.
template <typename layer>
GPTQC_DEVICE void wgmma_store_staged(const wgmma_output &out, const u8 *staging, i64 ldy,
                                     int first_token, int tokens) {
  const u8 *from = staging + lane_id() % 2 * 576 + lane_id() / 2 * 16;
  u16 *to = out.to + first_token * ldy;
#pragma unroll
  for (int pass = 0; pass < 2; ++pass, from += 256, to += 16 * ldy) {
    if (pass * 16 + lane_id() / 2 >= tokens)
      continue;
    if (out.vector) {
      *(u32x4 *)to = *(const u32x4 *)from;
    } else {
#pragma unroll 1
      for (int i = 0; i < out.rows; ++i)
        to[i] = ((const u16 *)from)[i];
    }
  }
}

/// Bias of rows r and r + 8 of an n16 tile that starts at `column` of part `part`.
template <typename layer>
GPTQC_DEVICE void wgmma_load_bias(float (&bias)[2], const linear_args &args, int part, int column) {
  constexpr int columns = (int)(layer::n / layer::parts);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int c = column + lane_id() / 4 + 8 * i;
    bias[i] = c < columns ? layer::act::to_float(args.bias[part * columns + c]) : 0.0f;
  }
}

/// What a warp stores an n16 tile with.
template <typename layer, typename tile> struct wgmma_tile_store {
  using out_type = wgmma_type<typename layer::out>;
  u8 *staging;     // of the warp
  u8 *matrices;    // of the lane: rows 0-7 and 8-15 of an m8 tile, then of the next
  int tokens;      // that exist, from the first tile on
  wgmma_output to; // of the fragment
  float bias[layer::parts][2];

  __device__ __forceinline__ wgmma_tile_store(const linear_args &args, u8 *shared,
                                              const wgmma_item<layer, tile> &item, int first_tile) {
    using plan = wgmma_plan<layer, tile>;
    const int lane = lane_id();
    staging = shared + plan::staging_at + warp_id() * plan::staging_bytes;
    matrices = staging + lane / 8 % 2 * 576 + (lane / 16 * 8 + lane % 8) * 16;
    tokens =
        min_of(args.m - item.block_m * tile::m - first_tile * 8, (plan::m_tiles - first_tile) * 8);
  }

  /// Goes to fragment `f`.
  __device__ __forceinline__ void open(const linear_args &args, const wgmma_item<layer, tile> &item,
                                       int first_tile, int f) {
    using plan = wgmma_plan<layer, tile>;
    constexpr int columns = (int)(layer::n / layer::parts);
    const int column = (item.block_n * plan::tiles_per_part +
                        wgmma_stream<layer, tile>::part_tile(item.n_group, f)) *
                       16;
    const int lane_column = column + lane_id() % 2 * 8;
    const int first_token = item.block_m * tile::m + first_tile * 8;
    to.to = args.y + (first_token + lane_id() / 2) * args.ldy + lane_column;
    to.rows = min_of(8, columns - lane_column);
    to.vector = ((u64)args.y | (u64)(args.ldy * 2)) % 16 == 0 && to.rows == 8;
    if constexpr (layer::bias)
#pragma unroll
      for (int part = 0; part < layer::parts; ++part)
        wgmma_load_bias<layer>(bias[part], args, part, column);
  }

  /// Adds the bias to a value of part `part`: element i % 4 of m8 tile i / 4.
  __device__ __forceinline__ float biased(float sum, int part, int i) const {
    return layer::bias ? sum + bias[part][i % 4 / 2] : sum;
  }

  /// Stages two m8 tiles, `at` m8 tiles into the buffer.
  __device__ __forceinline__ void stage(const float (&y)[8], int at) const {
    const u32 pairs[4] = {out_type::pack(y[0], y[1]), out_type::pack(y[2], y[3]),
                          out_type::pack(y[4], y[5]), out_type::pack(y[6], y[7])};
    stmatrix_x4_transposed(matrices + at * 128, pairs);
  }

  /// Stores what is staged: up to `count` tokens from token `first` on.
  __device__ __forceinline__ void store(const linear_args &args, int first, int count) const {
    warp_barrier();
    wgmma_store_staged<layer>(to, staging, args.ldy, first, min_of(tokens - first, count));
    warp_barrier();
  }
};

/// Finishes and stores `tiles` m8 tiles, from the block's `first_tile` on, of this warp's rows:
/// bias, conversion, transposition through the warp's staging buffer.
template <typename layer, typename tile, int tiles>
GPTQC_DEVICE void wgmma_store(const linear_args &args,
                              const float (&sums)[wgmma_plan<layer, tile>::fragments][tiles * 4],
                              u8 *shared, const wgmma_item<layer, tile> &item, int first_tile) {
  wgmma_tile_store<layer, tile> out(args, shared, item, first_tile);
#pragma unroll
  for (int f = 0; f < wgmma_plan<layer, tile>::fragments; ++f) {
    out.open(args, item, first_tile, f);
#pragma unroll
    for (int j = 0; j < tiles; j += 4) { // 32 tokens
#pragma unroll
      for (int p = j; p < min_of(j + 4, tiles); p += 2) {
        const int q = min_of(p + 1, tiles - 1); // an odd last tile is staged twice, stored once
        float y[8];
#pragma unroll
        for (int i = 0; i < 8; ++i)
          y[i] = out.biased(sums[f][i < 4 ? 4 * p + i : 4 * q + i - 4], 0, i);
        out.stage(y, p - j);
      }
      out.store(args, j * 8, min_of(tiles - j, 4) * 8);
    }
  }
}

/// The same for silu_mul: of 32 tokens the warp with the gate rows finishes the first 16, the one
/// with the up rows of the same columns the others; they hand each other the sums for them.
template <typename layer, typename tile, int tiles>
GPTQC_DEVICE void
wgmma_store_gated(const linear_args &args,
                  const float (&sums)[wgmma_plan<layer, tile>::fragments][tiles * 4], u8 *shared,
                  const wgmma_item<layer, tile> &item, int first_tile) {
  using plan = wgmma_plan<layer, tile>;
  wgmma_tile_store<layer, tile> out(args, shared, item, first_tile);
  const bool up = wgmma_stream<layer, tile>::part() == 1;
  const int partner = up ? -2 * plan::staging_bytes : 2 * plan::staging_bytes;
  f32x4 *mine = (f32x4 *)out.staging + lane_id();
  const f32x4 *theirs = (const f32x4 *)(out.staging + partner) + lane_id();
  const int barrier = 2 + warp_id() / 4 * 2 + warp_id() % 2; // of the two warps
#pragma unroll
  for (int f = 0; f < plan::fragments; ++f) {
    out.open(args, item, first_tile, f);
#pragma unroll
    for (int j = 0; j < tiles; j += 4) {
      float kept[8];
#pragma unroll
      for (int t = 0; t < 2; ++t) { // tiles behind the last one are not stored
        const float *low = sums[f] + 4 * min_of(j + t, tiles - 1);
        const float *high = sums[f] + 4 * min_of(j + t + 2, tiles - 1);
        float sent[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          kept[4 * t + i] = up ? high[i] : low[i];
          sent[i] = up ? low[i] : high[i];
        }
        mine[t * 32] = {sent[0], sent[1], sent[2], sent[3]};
      }
      named_barrier_sync(barrier, 64);
      const f32x4 other[2] = {theirs[0], theirs[32]};
      named_barrier_sync(barrier, 64);
      float y[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const f32x4 &v = other[i / 4];
        const float from = i % 4 == 0 ? v.x : i % 4 == 1 ? v.y : i % 4 == 2 ? v.z : v.w;
        y[i] = silu(out.biased(up ? from : kept[i], 0, i)) * out.biased(up ? kept[i] : from, 1, i);
      }
      out.stage(y, 0);
      const int first = j * 8 + (up ? 16 : 0);
      out.store(args, first, min_of(tiles * 8 - first, 16));
    }
  }
}

/// Ends item `index`: adds partial sums up where there are any, and stores.
template <typename layer, typename tile>
GPTQC_DEVICE void
wgmma_store_item(const linear_args &args,
                 const float (&sums)[wgmma_plan<layer, tile>::fragments][tile::m / 2], u8 *shared,
                 const wgmma_consumer<layer, tile> &consumer, int index) {
  using plan = wgmma_plan<layer, tile>;
  const wgmma_item<layer, tile> item(args, index, consumer.stream.n_group);
  if (!item.works)
    return;
  if constexpr (plan::shares > 1) {
    float total[plan::fragments][plan::share_tiles * 4];
    int first_tile;
    wgmma_exchange<layer, tile>(total, sums, shared, consumer, &first_tile);
    if constexpr (layer::parts == 2)
      wgmma_store_gated<layer, tile, plan::share_tiles>(args, total, shared, item, first_tile);
    else
      wgmma_store<layer, tile, plan::share_tiles>(args, total, shared, item, first_tile);
  } else if constexpr (layer::parts == 2) {
    wgmma_store_gated<layer, tile, plan::m_tiles>(args, sums, shared, item, 0);
  } else {
    wgmma_store<layer, tile, plan::m_tiles>(args, sums, shared, item, 0);
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_STORE_CUH
