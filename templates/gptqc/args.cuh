// The kernel parameter: mirrors LinearArgs of runtime/core field by field.
#ifndef GPTQC_TEMPLATES_ARGS_CUH
#define GPTQC_TEMPLATES_ARGS_CUH

#include "gptqc/base.cuh"

namespace gptqc {

struct linear_args {
  const u8 *weights;   // planes, widest first, each [Np/16][Kp/(256/width)][32][16]
  const u16 *scales;   // [Np/16][Gp][16]
  const u8 *zeros;     // [Np/16][Gp][16]; null when symmetric
  const int *group_of; // [Kp/16]; null unless ragged
  const int *perm;     // [Kp]; null: identity
  const u16 *bias;     // [N]
  const u16 *x;        // [M][K], row stride ldx
  u16 *y;              // [M][output columns], row stride ldy
  u8 *workspace;       // counters, then fp32 tiles; see reduce.cuh
  i64 ldx;
  i64 ldy;
  int m;
  int counter_bytes; // where the partial sums begin in the workspace
  int overlaps;      // not 0: launched before the kernel in front has ended, see predecessors.cuh
  // Of a grouped layer, whose arrays above hold all experts; see experts.cuh.
  int first_tile;            // token tile that the grid begins with
  const int *expert_offsets; // [experts + 1] rows of x
};
static_assert(sizeof(linear_args) == 112, "must match LinearArgs");

} // namespace gptqc

#endif // GPTQC_TEMPLATES_ARGS_CUH
