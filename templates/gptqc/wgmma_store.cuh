// The end of an item of the wgmma family: partial sums of warpgroups and of the blocks of a cluster
// added up in order, then bias, silu_mul, conversion and the store of Y.
#ifndef GPTQC_TEMPLATES_WGMMA_STORE_CUH
#define GPTQC_TEMPLATES_WGMMA_STORE_CUH

#include "gptqc/epilogue.cuh"
#include "gptqc/ptx/stmatrix.cuh"
#include "gptqc/wgmma_multiply.cuh"

namespace gptqc {

/// Adds the partial sums of a tile up, in the order of the splits of k, then of the warpgroups
/// along k. Each block and warpgroup along k gets share_tiles of the m8 tiles, from *first_tile on,
/// for the same rows that it had. Overlays the rings, so it ends the block's work. Consumers only;
/// producers meet it in wgmma_pass_exchange.
template <typename layer, typename tile>
GPTQC_DEVICE void wgmma_exchange(
    float (&total)[wgmma_plan<layer, tile>::fragments][wgmma_plan<layer, tile>::share_tiles * 4],
    const float (&sums)[wgmma_plan<layer, tile>::fragments][tile::m / 2], u8 *shared,
    const wgmma_consumer<layer, tile> &consumer, int *first_tile) {
  using plan = wgmma_plan<layer, tile>;
  // [k group][n group][fragment][m8 tile][128 threads] of 16 bytes
  const auto slot = [&](int k_group, int f, int j) {
    const int at =
        ((k_group * plan::n_groups + consumer.n_group) * plan::fragments + f) * plan::m_tiles + j;
    return shared + at * 2048 + (threadIdx.x % 128) * 16;
  };
  named_barrier_sync(1, plan::consumers * 128); // nobody reads the rings any more
#pragma unroll
  for (int f = 0; f < plan::fragments; ++f)
#pragma unroll
    for (int j = 0; j < plan::m_tiles; ++j) {
      float *to = (float *)slot(consumer.k_group, f, j);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        to[i] = sums[f][4 * j + i];
    }
  if constexpr (tile::split_k > 1) {
    cluster_arrive();
    cluster_wait();
  } else {
    named_barrier_sync(1, plan::consumers * 128);
  }
  const int split = wgmma_place<tile>::split();
  *first_tile = (split * plan::k_groups + consumer.k_group) * plan::share_tiles;
#pragma unroll
  for (int f = 0; f < plan::fragments; ++f)
#pragma unroll
    for (int j = 0; j < plan::share_tiles; ++j) {
      const int tile_m = min_of(*first_tile + j, plan::m_tiles - 1);
      float part[plan::shares][4];
#pragma unroll
      for (int p = 0; p < plan::shares; ++p) {
        const u8 *from = slot(p % plan::k_groups, f, tile_m);
        if constexpr (tile::split_k > 1) {
          load_cluster_f32x4(part[p], from,
                             p / plan::k_groups * tile::multicast + wgmma_place<tile>::row_tile());
        } else {
#pragma unroll
          for (int i = 0; i < 4; ++i)
            part[p][i] = ((const float *)from)[i];
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float sum = part[0][i];
#pragma unroll
        for (int p = 1; p < plan::shares; ++p)
          sum += part[p][i];
        total[f][4 * j + i] = sum;
      }
    }
}

/// The producers' part of wgmma_exchange: they take part in the barrier of the cluster.
template <typename layer, typename tile> GPTQC_DEVICE void wgmma_pass_exchange() {
  if constexpr (tile::split_k > 1) {
    warp_barrier();
    cluster_arrive();
    cluster_wait();
  }
}

/// Stores 32 tokens of a warp's 16 rows from its staging buffer, 16 bytes (8 rows of a token) a
/// lane.
template <typename layer>
GPTQC_DEVICE void wgmma_store_staged(const linear_args &args, const u8 *staging, i64 token,
                                     int tokens, i64 column, bool vector) {
  constexpr i64 columns = layer::n / layer::parts;
#pragma unroll
  for (int pass = 0; pass < 2; ++pass) {
    const int m = pass * 16 + lane_id() / 2, half = lane_id() % 2;
    const i64 c = column + half * 8;
    if (m < tokens && token + m < args.m && c < columns) {
      const u32x4 value = *(const u32x4 *)(staging + half * 576 + m * 16);
      u16 *to = args.y + (token + m) * args.ldy + c;
      if (vector && c + 8 <= columns) {
        *(u32x4 *)to = value;
      } else {
        const u32 pairs[4] = {value.x, value.y, value.z, value.w};
#pragma unroll
        for (int i = 0; i < 8; ++i)
          if (c + i < columns)
            to[i] = (u16)(pairs[i / 2] >> (16 * (i & 1)));
      }
    }
  }
}

/// Bias of rows r and r + 8 of an n16 tile that starts at `column` of part `part`.
template <typename layer>
GPTQC_DEVICE void wgmma_load_bias(float (&bias)[2], const linear_args &args, int part, i64 column) {
  constexpr i64 columns = layer::n / layer::parts;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const i64 c = column + lane_id() / 4 + 8 * i;
    bias[i] =
        layer::bias && c < columns ? layer::act::to_float(args.bias[part * columns + c]) : 0.0f;
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
  using out = wgmma_type<typename layer::out>;
  constexpr int outputs = plan::fragments / layer::parts;
  u8 *staging = shared + plan::staging_at + warp_id() * plan::staging_bytes;
  const bool vector = ((u64)args.y | (u64)(args.ldy * 2)) % 16 == 0;
#pragma unroll
  for (int f = 0; f < outputs; ++f) {
    const i64 column = ((i64)item.block_n * plan::tiles_per_part + consumer.n_tile(f)) * 16;
    float bias[2], up_bias[2] = {0.0f, 0.0f};
    wgmma_load_bias<layer>(bias, args, 0, column);
    if constexpr (layer::parts == 2)
      wgmma_load_bias<layer>(up_bias, args, 1, column);
    const auto value = [&](int i) { // of the thread's element i of m8 tile i / 4
      const int row = i % 4 / 2;
      if constexpr (layer::parts == 2)
        return silu(sums[f][i] + bias[row]) * (sums[f + outputs][i] + up_bias[row]);
      else
        return sums[f][i] + bias[row];
    };
#pragma unroll
    for (int j = 0; j < tiles; j += 4) { // 32 tokens
#pragma unroll
      for (int p = j; p < min_of(j + 4, tiles); p += 2) {
        u32 pairs[4];
        pairs[0] = out::pack(value(4 * p), value(4 * p + 1));
        pairs[1] = out::pack(value(4 * p + 2), value(4 * p + 3));
        const int lane = lane_id();
        if constexpr (tiles % 2 == 0) {
          pairs[2] = out::pack(value(4 * p + 4), value(4 * p + 5));
          pairs[3] = out::pack(value(4 * p + 6), value(4 * p + 7));
        } else {
          const int q = min_of(p + 1, tiles - 1); // behind the last tile: not stored
          pairs[2] = out::pack(value(4 * q), value(4 * q + 1));
          pairs[3] = out::pack(value(4 * q + 2), value(4 * q + 3));
        }
        // Matrices: rows 0-7 and 8-15 of tile p, then of tile p + 1.
        stmatrix_x4_transposed(
            staging + lane / 8 % 2 * 576 + ((p - j) * 8 + lane / 16 * 8 + lane % 8) * 16, pairs);
      }
      warp_barrier();
      const int first = first_tile + j;
      const int count = min_of(min_of(tiles - j, 4), plan::m_tiles - first);
      wgmma_store_staged<layer>(args, staging, (i64)item.block_m * tile::m + first * 8, count * 8,
                                column, vector);
      warp_barrier();
    }
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_STORE_CUH
