// Shared memory to registers: B fragments of X, a lane's words of the packed weights, scales, zero
// points.
#ifndef GPTQC_TEMPLATES_FRAGMENT_CUH
#define GPTQC_TEMPLATES_FRAGMENT_CUH

#include "gptqc/copy_activations.cuh"
#include "gptqc/copy_weights.cuh"
#include "gptqc/dequant.cuh"
#include "gptqc/ptx/ldmatrix.cuh"

namespace gptqc {

/// b[s][j]: B fragment (k16 x m8) of step `step + s` of this warp and its m8 tile j.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE void load_activations(u32 (&b)[steps][shape<layer, tile>::m_tiles][2], const u8 *stage,
                                   int step) {
  using s = shape<layer, tile>;
  const int first_row = place<tile>::m_warp() * s::m_tiles * 8;
  const int first_step = place<tile>::k_warp() * s::warp_steps + step;
  const int row_in_matrix = lane_id() % 8, matrix = lane_id() / 8;
#pragma unroll
  for (int i = 0; i < steps; ++i) {
    if constexpr (s::m_tiles % 2 == 0) {
#pragma unroll
      for (int j = 0; j < s::m_tiles;
           j += 2) { // matrices: (j, k 0-7), (j, k 8-15), (j+1, ...), ...
        const int row = first_row + (j + matrix / 2) * 8 + row_in_matrix;
        u32 d[4];
        ldmatrix_x4(d, stage + x_offset<tile>(row, (first_step + i) * 2 + matrix % 2));
        b[i][j][0] = d[0], b[i][j][1] = d[1], b[i][j + 1][0] = d[2], b[i][j + 1][1] = d[3];
      }
    } else {
#pragma unroll
      for (int j = 0; j < s::m_tiles; ++j) {
        const int row = first_row + j * 8 + row_in_matrix;
        ldmatrix_x2(b[i][j], stage + x_offset<tile>(row, (first_step + i) * 2 + matrix % 2));
      }
    }
  }
}

/// A lane's words of one plane for `steps` steps from `step` of the stage.
template <typename layer, typename tile, int width, int steps>
GPTQC_DEVICE void load_plane(u32 *words, const u8 *stage, int t, int step) {
  constexpr int chunk_steps = 16 / width, chunks = tile::k / (256 / width);
  constexpr int count = plane_words<width, steps>::count;
  const u8 *plane = stage + plane_offset<layer, width>((i64)tile::n * tile::k);
  const u8 *from = plane + ((t * chunks + step / chunk_steps) * 32 + lane_id()) * 16 +
                   step % chunk_steps * width / 4 * 4;
  if constexpr (count >= 4) {
#pragma unroll
    for (int i = 0; i < count; i += 4) {
      const u32x4 v = *(const u32x4 *)(from + i / 4 * 512);
      words[i] = v.x, words[i + 1] = v.y, words[i + 2] = v.z, words[i + 3] = v.w;
    }
  } else if constexpr (count == 2) {
    const u32x2 v = *(const u32x2 *)from;
    words[0] = v.x, words[1] = v.y;
  } else {
    words[0] = *(const u32 *)from;
  }
}

/// The words of the block's local n16 tile `t` for `steps` steps from step `step` of the stage.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE void load_weights(weight_words<layer::bits, steps> &words, const u8 *stage, int t,
                               int step) {
  if constexpr (has_plane<layer::bits, 8>::value)
    load_plane<layer, tile, 8, steps>(words.w8, stage, t, step);
  if constexpr (has_plane<layer::bits, 4>::value)
    load_plane<layer, tile, 4, steps>(words.w4, stage, t, step);
  if constexpr (has_plane<layer::bits, 2>::value)
    load_plane<layer, tile, 2, steps>(words.w2, stage, t, step);
  if constexpr (has_plane<layer::bits, 1>::value)
    load_plane<layer, tile, 1, steps>(words.w1, stage, t, step);
}

/// Scales of rows r and r + 8 (r = lane / 4) of local tile `t` in scale row `row`.
template <typename layer, typename tile>
GPTQC_DEVICE void load_scales(float (&scales)[2], const u8 *stage, int t, int row) {
  const u16 *from =
      (const u16 *)stage + (t * shape<layer, tile>::scale_rows + row) * 16 + lane_id() / 4;
  scales[0] = layer::scale::to_float(from[0]);
  scales[1] = layer::scale::to_float(from[8]);
}

/// What dequantize subtracts, for the same two rows.
template <typename layer, typename tile>
GPTQC_DEVICE zero_addends<layer::bits> load_zeros(const u8 *stage, int t, int row) {
  using converter = dequantizer<layer::bits, typename layer::act>;
  if constexpr (layer::sym) {
    return converter::addends(1u << (layer::bits - 1), 1u << (layer::bits - 1));
  } else {
    using s = shape<layer, tile>;
    const u8 *from = stage + s::scale_bytes + (t * s::scale_rows + row) * 16 + lane_id() / 4;
    return converter::addends(from[0], from[8]);
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_FRAGMENT_CUH
