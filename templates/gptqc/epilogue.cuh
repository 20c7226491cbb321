// The end of a tile: bias, silu_mul, conversion, and the store of Y, coalesced along its rows.
#ifndef GPTQC_TEMPLATES_EPILOGUE_CUH
#define GPTQC_TEMPLATES_EPILOGUE_CUH

#include "gptqc/tile.cuh"

namespace gptqc {

/// x * sigmoid(x); -inf * 0 does not arise: exp overflows to +inf and x / inf is -0.
GPTQC_DEVICE float silu(float x) { return x / (1.0f + exp_approx(-x)); }

/// One output element from its sum (and, for silu_mul, that of its up row), before conversion.
template <typename layer>
GPTQC_DEVICE float finish_element(const linear_args &args, float value, float up, i64 column) {
  if constexpr (layer::bias)
    value += layer::act::to_float(args.bias[column]);
  if constexpr (layer::parts == 2) {
    if constexpr (layer::bias)
      up += layer::act::to_float(args.bias[layer::n / layer::parts + column]);
    value = silu(value) * up;
  }
  return value;
}

/// Stores the block's tile from sums[m][reduce_stride]; rows beyond M and columns beyond N are
/// skipped.
template <typename layer, typename tile>
GPTQC_DEVICE void store_tile(const linear_args &args, const float *sums, int block_n, int block_m) {
  using s = shape<layer, tile>;
  for (int i = threadIdx.x; i < tile::m * s::tile_columns; i += s::threads) {
    const int m = i / s::tile_columns, c = i % s::tile_columns;
    const i64 token = (i64)block_m * tile::m + m;
    const i64 column = (i64)block_n * s::tile_columns + c;
    if (token >= args.m || column >= s::columns)
      continue;
    const float *row = sums + m * s::reduce_stride;
    const float up = layer::parts == 2 ? row[c + s::tile_columns] : 0.0f;
    args.y[token * args.ldy + column] =
        layer::out::from_float(finish_element<layer>(args, row[c], up, column));
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_EPILOGUE_CUH
