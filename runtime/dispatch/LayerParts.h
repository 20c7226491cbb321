// LayerParts: what a layer is made of before it is repacked: one or several tensors side by side
// (q/k/v, gate/up), or a slice of them for one rank of a tensor-parallel group. Facts only; the
// codes stay where they are.
#ifndef GPTQC_RUNTIME_DISPATCH_LAYERPARTS_H
#define GPTQC_RUNTIME_DISPATCH_LAYERPARTS_H

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/QuantizedMatrix.h"

namespace gptqc {

/// One share of a dimension: rank `rank` of `ranks`.
struct Share {
  int64_t rank = 0, ranks = 1;
  bool whole() const { return ranks == 1; }
};

/// How the parts become a layer.
struct LayerPlan {
  bool siluMul = false;     ///< two parts, gate and up: Y = silu(gate) * up
  Share rows;               ///< of each part's N: column-parallel layers
  Share columns;            ///< of K: row-parallel layers, whose outputs are summed over the ranks
  bool xIsPermuted = false; ///< X comes in the order of `LayerShape::columns`
};

/// A layer as it will run.
struct LayerShape {
  QuantizedMatrix facts; ///< all but the codes
  /// [K]: input feature of the whole layer that each column of X is; empty: all of them, in order.
  std::vector<int32_t> columns;
  struct Rows {
    int64_t first = 0, count = 0;
  };
  std::vector<Rows> rows; ///< of each part, in order: its output features that are used
};

/// Joins the parts (facts without codes, as readers make them). InvalidArgument with the reason:
/// parts whose bits, group size, K, types or g_idx differ; silu_mul without two equal parts; a
/// share that does not divide; a share of the columns of an act-order layer without xIsPermuted,
/// since its columns are not consecutive; xIsPermuted for groups of differing lengths.
///
/// A share of the columns of an act-order layer holds whole groups: all of K is put into the order
/// of the groups first, then cut.
Result<LayerShape> joinParts(std::span<const QuantizedMatrix> parts, const LayerPlan &plan);

} // namespace gptqc

#endif // GPTQC_RUNTIME_DISPATCH_LAYERPARTS_H
