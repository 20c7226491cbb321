// Grouped layers (a mixture of experts): rows of X come sorted by expert, and a block of the grid
// finds the expert and the rows of its token tile itself, since only the device knows them.
#ifndef GPTQC_TEMPLATES_EXPERTS_CUH
#define GPTQC_TEMPLATES_EXPERTS_CUH

#include "gptqc/ptx/warp.cuh"
#include "gptqc/tile.cuh"

namespace gptqc {

/// Rows of X that stand before expert `expert`. Offsets that are wrong still lie in X.
template <typename layer> GPTQC_DEVICE int expert_row(const linear_args &args, int expert) {
  return max_of(0, min_of(args.expert_offsets[min_of(expert, layer::experts)], args.m));
}

/// Makes the arguments those of a plain layer: this expert, and `rows` rows of X from `first` on.
template <typename layer>
GPTQC_DEVICE void become_expert(linear_args &args, int expert, int first, int rows) {
  args.weights += expert * (layer::padded_n * layer::padded_k / 8 * layer::bits);
  args.scales += expert * (layer::padded_n * layer::padded_groups);
  if (!layer::sym)
    args.zeros += expert * (layer::padded_n * layer::padded_groups);
  if (layer::ragged)
    args.group_of += expert * (layer::padded_k / 16);
  if (layer::permuted && args.perm)
    args.perm += expert * layer::padded_k;
  if (layer::bias)
    args.bias += expert * layer::n;
  args.x += first * args.ldx;
  args.y += first * args.ldy;
  args.m = rows;
}

/// Sum over the lanes of `value`, in which all but one have zeros.
GPTQC_DEVICE int only_value(int value) {
#pragma unroll
  for (int mask = 1; mask < 32; mask *= 2)
    value += shuffle_xor(value, mask);
  return value;
}

/// Token tile `index` of the grid: makes `args` those of its expert, and returns which of the
/// expert's tiles it is; -1 in all threads of the block when there is no such tile. Every expert
/// has ceil(rows / tile::m) tiles, in order. Each lane counts those of its share of the experts, a
/// scan adds the lanes up; all warps do the same, so no barrier is needed.
template <typename layer, typename tile>
GPTQC_DEVICE int enter_expert(linear_args &args, int index) {
  constexpr int share = ceil_div(layer::experts, 32);
  const int first = lane_id() * share;
  int rows[share + 1]; // where the lane's experts begin
#pragma unroll
  for (int i = 0; i <= share; ++i)
    rows[i] = expert_row<layer>(args, first + i);
  int tiles = 0; // of the lanes that the scan has met
#pragma unroll
  for (int i = 0; i < share; ++i)
    tiles += ceil_div(max_of(0, rows[i + 1] - rows[i]), tile::m);
  int before = 0; // of the lanes below
#pragma unroll
  for (int mask = 1; mask < 32; mask *= 2) {
    const int others = shuffle_xor(tiles, mask);
    before += lane_id() & mask ? others : 0;
    tiles += others;
  }
  const int wanted = args.first_tile + index;
  if (wanted >= tiles)
    return -1;
  int found = 0, place = 0; // expert and tile, in the one lane that has it
#pragma unroll
  for (int i = 0; i < share; ++i) {
    const int own = ceil_div(max_of(0, rows[i + 1] - rows[i]), tile::m);
    if (wanted >= before && wanted < before + own)
      found = first + i, place = wanted - before;
    before += own;
  }
  found = only_value(found);
  place = only_value(place);
  const int begin = expert_row<layer>(args, found);
  become_expert<layer>(args, found, begin, expert_row<layer>(args, found + 1) - begin);
  return place;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_EXPERTS_CUH
