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

/// Finishes and stores `tiles` m8 tiles, from the block's `first_tile` on, of this warp's rows:
/// bias, silu_mul (gate and up rows are fragments f and f + fragments / 2), conversion,
/// transposition through the warp's staging buffer.
template <typename layer, typename tile, int tiles>
GPTQC_DEVICE void wgmma_store(const linear_args &args,
                              const float (&sums)[wgmma_plan<layer, tile>::fragments][tiles * 4],
                              u8 *shared, const wgmma_consumer<layer, tile> &consumer,
                              const wgmma_item<layer, tile> &item, int first_tile) {
  using plan = wgmma_plan<layer, tile>;
  using out_type = wgmma_type<typename layer::out>;
  constexpr int outputs = plan::fragments / layer::parts;
  constexpr int columns = (int)(layer::n / layer::parts);
  const int lane = lane_id(), first_token = item.block_m * tile::m + first_tile * 8;
  const int tokens = min_of(args.m - first_token, (plan::m_tiles - first_tile) * 8);
  const bool aligned = ((u64)args.y | (u64)(args.ldy * 2)) % 16 == 0;
  u8 *staging = shared + plan::staging_at + warp_id() * plan::staging_bytes;
  // Matrices: rows 0-7 and 8-15 of an m8 tile, then of the next.
  u8 *matrices = staging + lane / 8 % 2 * 576 + (lane / 16 * 8 + lane % 8) * 16;
#pragma unroll
  for (int f = 0; f < outputs; ++f) {
    const int column = (item.block_n * plan::tiles_per_part + consumer.stream.local_tile(f)) * 16;
    const int lane_column = column + lane % 2 * 8;
    wgmma_output out;
    out.to = args.y + (first_token + lane / 2) * args.ldy + lane_column;
    out.rows = min_of(8, columns - lane_column);
    out.vector = aligned && out.rows == 8;
    float bias[2], up_bias[2];
    if constexpr (layer::bias)
      wgmma_load_bias<layer>(bias, args, 0, column);
    if constexpr (layer::bias && layer::parts == 2)
      wgmma_load_bias<layer>(up_bias, args, 1, column);
    const auto value = [&](int i) { // of the thread's element i % 4 of m8 tile i / 4
      float sum = sums[f][i];
      if constexpr (layer::bias)
        sum += bias[i % 4 / 2];
      if constexpr (layer::parts == 2) {
        float up = sums[f + outputs][i];
        if constexpr (layer::bias)
          up += up_bias[i % 4 / 2];
        sum = silu(sum) * up;
      }
      return sum;
    };
#pragma unroll
    for (int j = 0; j < tiles; j += 4) { // 32 tokens
#pragma unroll
      for (int p = j; p < min_of(j + 4, tiles); p += 2) {
        const int q = min_of(p + 1, tiles - 1); // an odd last tile is staged twice, stored once
        const u32 pairs[4] = {out_type::pack(value(4 * p), value(4 * p + 1)),
                              out_type::pack(value(4 * p + 2), value(4 * p + 3)),
                              out_type::pack(value(4 * q), value(4 * q + 1)),
                              out_type::pack(value(4 * q + 2), value(4 * q + 3))};
        stmatrix_x4_transposed(matrices + (p - j) * 128, pairs);
      }
      warp_barrier();
      wgmma_store_staged<layer>(out, staging, args.ldy, j * 8,
                                min_of(tokens - j * 8, min_of(tiles - j, 4) * 8));
      warp_barrier();
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
  const wgmma_item<layer, tile> item(args, index);
  if constexpr (plan::shares > 1) {
    float total[plan::fragments][plan::share_tiles * 4];
    int first_tile;
    wgmma_exchange<layer, tile>(total, sums, shared, consumer, &first_tile);
    wgmma_store<layer, tile, plan::share_tiles>(args, total, shared, consumer, item, first_tile);
  } else {
    wgmma_store<layer, tile, plan::m_tiles>(args, sums, shared, consumer, item, 0);
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_STORE_CUH
