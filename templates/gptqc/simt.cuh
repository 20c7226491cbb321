// The simt family: one thread owns one packed row and walks k in scalar arithmetic. Any descriptor
// on any GPU; nothing is shared with the tensor-core path but the packed bytes, so the two check
// each other.
#ifndef GPTQC_TEMPLATES_SIMT_CUH
#define GPTQC_TEMPLATES_SIMT_CUH

#include "gptqc/tile.cuh"

namespace gptqc {

/// The field of one plane for the code of row r (0..15) and column c (0..15) of k16 step `step` of
/// packed tile `n_tile`: the bit order of "mma16.v1" read one code at a time.
template <typename layer, int width>
GPTQC_DEVICE u32 plane_field(const linear_args &args, int n_tile, int step, int r, int c) {
  constexpr int chunk_steps = 16 / width;
  constexpr int chunks = (int)(layer::padded_k / (256 / width));
  const int lane = r % 8 * 4 + c % 8 / 2;
  const int reg = r / 8 + c / 8 * 2;
  const field_place field = place_of_field(width, step % chunk_steps, reg);
  const i64 planes_before =
      layer::padded_n * layer::padded_k / 8 * (layer::bits & ~(2 * width - 1));
  const i64 lane_chunk = ((i64)n_tile * chunks + step / chunk_steps) * 32 + lane;
  const u32 value = ((const u32 *)(args.weights + planes_before + lane_chunk * 16))[field.word];
  return value >> (field.bit + 16 * (c & 1)) & ((1u << width) - 1);
}

template <typename layer>
GPTQC_DEVICE u32 code_at(const linear_args &args, int n_tile, int step, int r, int c) {
  u32 code = 0;
  if constexpr (has_plane<layer::bits, 8>::value)
    code = plane_field<layer, 8>(args, n_tile, step, r, c);
  if constexpr (has_plane<layer::bits, 4>::value)
    code = plane_field<layer, 4>(args, n_tile, step, r, c);
  if constexpr (has_plane<layer::bits, 2>::value)
    code |= plane_field<layer, 2>(args, n_tile, step, r, c) << (layer::bits & 4);
  if constexpr (has_plane<layer::bits, 1>::value)
    code |= plane_field<layer, 1>(args, n_tile, step, r, c) << (layer::bits & 6);
  return code;
}

/// acc[m] += the products of k16 step `step` for this thread's row and all tokens of the tile.
template <typename layer, typename tile>
GPTQC_DEVICE void simt_accumulate(float (&acc)[tile::m], const linear_args &args, int block_n,
                                  int block_m, int step) {
  const int t = threadIdx.x / 16, r = threadIdx.x % 16;
  if (!valid_n_tile<layer, tile>(block_n, t))
    return;
  const int n_tile = packed_n_tile<layer, tile>(block_n, t);
  const i64 group = (i64)n_tile * layer::padded_groups + group_of_step<layer>(args, step);
  const float scale = layer::scale::to_float(args.scales[group * 16 + r]);
  const int zero = layer::sym ? 1 << (layer::bits - 1) : (int)args.zeros[group * 16 + r];
  float partial[tile::m] = {};
  for (int c = 0; c < 16; ++c) {
    const i64 kp = (i64)step * 16 + c;
    const i64 column = layer::permuted && args.perm ? (i64)args.perm[kp]
                       : kp < layer::k              ? kp
                                                    : (i64)-1;
    if (column < 0)
      continue;
    const float weight = (float)((int)code_at<layer>(args, n_tile, step, r, c) - zero);
#pragma unroll
    for (int m = 0; m < tile::m; ++m) {
      const i64 token = (i64)block_m * tile::m + m;
      if (token < args.m)
        partial[m] += weight * layer::act::to_float(args.x[token * args.ldx + column]);
    }
  }
#pragma unroll
  for (int m = 0; m < tile::m; ++m)
    acc[m] += scale * partial[m];
}

/// Hands the accumulators to the epilogue: sums[m][reduce_stride]. Ends with a block barrier.
template <typename layer, typename tile>
GPTQC_DEVICE void simt_collect(float *sums, const float (&acc)[tile::m]) {
#pragma unroll
  for (int m = 0; m < tile::m; ++m)
    sums[m * shape<layer, tile>::reduce_stride + threadIdx.x] = acc[m];
  block_barrier();
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_SIMT_CUH
