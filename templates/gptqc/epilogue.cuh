// The end of a tile: bias, silu_mul, conversion, and the store of Y, coalesced along its rows.
#ifndef GPTQC_TEMPLATES_EPILOGUE_CUH
#define GPTQC_TEMPLATES_EPILOGUE_CUH

#include "gptqc/tile.cuh"

namespace gptqc {

/// x * sigmoid(x); -inf * 0 does not arise: exp overflows to +inf and x / inf is -0.
GPTQC_DEVICE float silu(float x) { return x / (1.0f + exp_approx(-x)); }

/// One output element: sums[m][n] plus bias, for silu_mul combined with the up row tile_columns further.
template <typename layer, typename tile>
GPTQC_DEVICE float finish_element(const float *sums, const linear_args &args, int m, int c, i64 column) {
  using s = shape<layer, tile>;
  const float *row = sums + m * s::reduce_stride;
  float value = row[c];
  if constexpr (layer::bias)
    value += layer::act::to_float(args.bias[column]);
  if constexpr (layer::parts == 2) {
    float up = row[c + s::tile_columns];
    if constexpr (layer::bias)
      up += layer::act::to_float(args.bias[s::columns + column]);
    value = silu(value) * up;
  }
  return value;
}

/// Stores the block's tile from sums[m][reduce_stride]; rows beyond M and columns beyond N are skipped.
template <typename layer, typename tile>
GPTQC_DEVICE void store_tile(const linear_args &args, const float *sums, int block_n, int block_m) {
  using s = shape<layer, tile>;
  for (int i = threadIdx.x; i < tile::m * s::tile_columns; i += s::threads) {
    const int m = i / s::tile_columns, c = i % s::tile_columns;
    const i64 token = (i64)block_m * tile::m + m;
    const i64 column = (i64)block_n * s::tile_columns + c;
    if (token < args.m && column < s::columns)
      args.y[token * args.ldy + column] =
          layer::out::from_float(finish_element<layer, tile>(sums, args, m, c, column));
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_EPILOGUE_CUH
