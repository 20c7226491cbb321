// Tensor-core work of one warp: D^T[n16][m8] += (W^T - zero)[n16][k16] X^T[k16][m8] in fp32, and
// the scales that turn a group's partial sums into the result.
#ifndef GPTQC_TEMPLATES_ACCUMULATE_CUH
#define GPTQC_TEMPLATES_ACCUMULATE_CUH

#include "gptqc/fragment.cuh"

namespace gptqc {

/// Which step of the 2- and 1-bit planes' words (up to four steps each) the first of `steps` is:
/// known at compile time when a warp's part of a stage is whole words.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE int word_window(int step, int stage_step) {
  return steps % 4 == 0 ? 0 : shape<layer, tile>::warp_steps % 4 == 0 ? step : stage_step;
}

/// What the lane multiplies in `steps` steps of an n16 tile that share a scale row.
template <int bits, int steps> struct step_weights {
  weight_words<bits, steps> words;
  zero_addends<bits> zeros;
  int n_tile; // of the block
  int row;    // of the stage's scales
  int window; // see word_window
};

/// For the warp's n16 tile `warp_tile`; `step` counts from the warp's first step in the stage.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE step_weights<layer::bits, steps>
load_step_weights(const u8 *w_stage, const u8 *s_stage, int warp_tile, int kt, int step) {
  using s = shape<layer, tile>;
  step_weights<layer::bits, steps> w;
  w.n_tile = place<tile>::n_warp() * s::warp_n_tiles + warp_tile;
  const int stage_step = place<tile>::k_warp() * s::warp_steps + step;
  w.row = scale_row<layer, tile>(kt, stage_step);
  w.window = word_window<layer, tile, steps>(step, stage_step);
  load_weights<layer, tile, steps>(w.words, w_stage, w.n_tile, stage_step);
  w.zeros = load_zeros<layer, tile>(s_stage, w.n_tile, w.row);
  return w;
}

/// acc[t][j] += scale * ((code - zero) x) over `steps` steps of the warp's n16 tile `warp_tile`,
/// for all its m8 tiles. `step` counts from the warp's first step in the stage; the steps share a
/// scale row.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE void accumulate_scaled(float (&acc)[shape<layer, tile>::m_tiles][4],
                                    const u32 (&b)[steps][shape<layer, tile>::m_tiles][2],
                                    const u8 *w_stage, const u8 *s_stage, int warp_tile, int kt,
                                    int step) {
  using s = shape<layer, tile>;
  const step_weights<layer::bits, steps> w =
      load_step_weights<layer, tile, steps>(w_stage, s_stage, warp_tile, kt, step);
  float scales[2];
  load_scales<layer, tile>(scales, s_stage, w.n_tile, w.row);
  float partial[s::m_tiles][4] = {};
#pragma unroll
  for (int i = 0; i < steps; ++i) {
    u32 a[4];
    dequantize<layer::bits, typename layer::act, steps>(a, w.words, w.zeros, w.window, i);
#pragma unroll
    for (int j = 0; j < s::m_tiles; ++j)
      layer::act::mma(partial[j], a, b[i][j]);
  }
#pragma unroll
  for (int j = 0; j < s::m_tiles; ++j) {
    acc[j][0] += scales[0] * partial[j][0];
    acc[j][1] += scales[0] * partial[j][1];
    acc[j][2] += scales[1] * partial[j][2];
    acc[j][3] += scales[1] * partial[j][3];
  }
}

/// The same with the scales multiplied into the fragments: fewer registers and instructions when
/// many tokens share a fragment, one more rounding of each weight. The scales have the type of the
/// activations.
template <typename layer, typename tile, int steps>
GPTQC_DEVICE void accumulate_fragments(float (&acc)[shape<layer, tile>::m_tiles][4],
                                       const u32 (&b)[steps][shape<layer, tile>::m_tiles][2],
                                       const u8 *w_stage, const u8 *s_stage, int warp_tile, int kt,
                                       int step) {
  using s = shape<layer, tile>;
  const step_weights<layer::bits, steps> w =
      load_step_weights<layer, tile, steps>(w_stage, s_stage, warp_tile, kt, step);
  const u16 *scales =
      (const u16 *)s_stage + (w.n_tile * s::scale_rows + w.row) * 16 + lane_id() / 4;
  const u32 scale0 = both_halves(scales[0]), scale1 = both_halves(scales[8]);
#pragma unroll
  for (int i = 0; i < steps; ++i) {
    u32 a[4];
    dequantize<layer::bits, typename layer::act, steps>(a, w.words, w.zeros, w.window, i);
#pragma unroll
    for (int r = 0; r < 4; ++r)
      a[r] = layer::act::mul2(a[r], r & 1 ? scale1 : scale0);
#pragma unroll
    for (int j = 0; j < s::m_tiles; ++j)
      layer::act::mma(acc[j], a, b[i][j]);
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_ACCUMULATE_CUH
