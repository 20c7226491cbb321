// Side by side in N first, then the cut in K.
#include "runtime/dispatch/LayerParts.h"

#include <algorithm>
#include <numeric>

namespace gptqc {
namespace {

/// Plain arrays of a layer that is being put together; what layerWithoutCodes takes.
struct Joined {
  LayerCodes shape;
  std::vector<uint8_t> zeros;
  std::vector<uint16_t> scales, bias;
  std::vector<int32_t> groupIndex;

  Result<QuantizedMatrix> finish() {
    shape.zeros = zeros;
    shape.scales = scales;
    shape.bias = bias;
    shape.groupIndex = groupIndex;
    return layerWithoutCodes(shape);
  }
};

Status checkSame(std::span<const QuantizedMatrix> parts) {
  const QuantizedMatrix &first = parts[0];
  const Descriptor &a = first.descriptor;
  for (size_t i = 1; i < parts.size(); ++i) {
    const Descriptor &b = parts[i].descriptor;
    const auto refuse = [&](std::string_view what, auto x, auto y) {
      return invalidArgument("parts 0 and {} of a fused layer: {} {} and {}; run them as layers of "
                             "their own",
                             i, what, x, y);
    };
    if (a.bits != b.bits)
      return refuse("bits", a.bits, b.bits);
    if (a.k != b.k)
      return refuse("input features", a.k, b.k);
    if (a.effectiveGroupSize() != b.effectiveGroupSize() || first.groups != parts[i].groups)
      return refuse("group sizes", a.effectiveGroupSize(), b.effectiveGroupSize());
    if (a.act != b.act || a.out != b.out)
      return refuse("activation types", dtypeName(a.act), dtypeName(b.act));
    if (a.scales != b.scales)
      return refuse("scale types", dtypeName(a.scales), dtypeName(b.scales));
    if (first.groupIndex != parts[i].groupIndex)
      return invalidArgument("parts 0 and {} of a fused layer: their g_idx differ, so X would need "
                             "two orders; run them as layers of their own",
                             i);
  }
  return Status();
}

/// Start and length of a share; the shares of a dimension must be equal.
Result<LayerShape::Rows> cut(int64_t size, const Share &share, std::string_view what) {
  if (share.ranks < 1 || share.rank < 0 || share.rank >= share.ranks)
    return invalidArgument("rank {} of {}: ranks count from 0", share.rank, share.ranks);
  if (size % share.ranks != 0)
    return invalidArgument("{} {} cannot be shared by {} ranks", size, what, share.ranks);
  const int64_t count = size / share.ranks;
  return LayerShape::Rows{share.rank * count, count};
}

/// Puts the used rows of all parts side by side.
Joined joinRows(std::span<const QuantizedMatrix> parts, const std::vector<LayerShape::Rows> &rows) {
  const QuantizedMatrix &first = parts[0];
  Joined joined;
  LayerCodes &shape = joined.shape;
  shape.bits = first.descriptor.bits;
  shape.k = first.descriptor.k;
  shape.groupSize = first.descriptor.groupSize;
  shape.act = first.descriptor.act;
  shape.out = first.descriptor.out;
  shape.scaleType = first.descriptor.scales;
  shape.n = 0;
  bool biased = false, zeroed = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    shape.n += rows[i].count;
    biased = biased || !parts[i].bias.empty();
    zeroed = zeroed || !parts[i].zeros.empty();
  }
  for (int64_t g = 0; g < first.groups; ++g)
    for (size_t i = 0; i < parts.size(); ++i)
      for (int64_t row = rows[i].first; row < rows[i].first + rows[i].count; ++row) {
        joined.scales.push_back(parts[i].scales[size_t(g * parts[i].descriptor.n + row)]);
        if (zeroed)
          joined.zeros.push_back(uint8_t(parts[i].zeroAt(g, row)));
      }
  for (size_t i = 0; biased && i < parts.size(); ++i)
    for (int64_t row = rows[i].first; row < rows[i].first + rows[i].count; ++row)
      joined.bias.push_back(parts[i].bias.empty() ? uint16_t(0) : parts[i].bias[size_t(row)]);
  joined.groupIndex = first.groupIndex;
  return joined;
}

/// All input features in the order of their groups.
std::vector<int32_t> groupOrder(const QuantizedMatrix &layer) {
  std::vector<int32_t> order(static_cast<size_t>(layer.descriptor.k));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return layer.groupOf(a) < layer.groupOf(b); });
  return order;
}

/// Keeps the input features of `columns`, in their order, and the groups that they use.
Result<QuantizedMatrix> takeColumns(const QuantizedMatrix &layer,
                                    const std::vector<int32_t> &columns) {
  const Descriptor &d = layer.descriptor;
  std::vector<int32_t> newGroup(size_t(layer.groups), -1);
  for (const int32_t column : columns)
    newGroup[size_t(layer.groupOf(column))] = 0;
  Joined joined;
  int32_t groups = 0;
  for (int64_t g = 0; g < layer.groups; ++g) {
    if (newGroup[size_t(g)] < 0)
      continue;
    newGroup[size_t(g)] = groups++;
    const auto row = layer.scales.begin() + g * d.n;
    joined.scales.insert(joined.scales.end(), row, row + d.n);
    if (!layer.zeros.empty())
      joined.zeros.insert(joined.zeros.end(), layer.zeros.begin() + g * d.n,
                          layer.zeros.begin() + (g + 1) * d.n);
  }
  for (const int32_t column : columns)
    joined.groupIndex.push_back(newGroup[size_t(layer.groupOf(column))]);
  joined.bias = layer.bias;
  LayerCodes &shape = joined.shape;
  shape.bits = d.bits;
  shape.n = d.n;
  shape.k = int64_t(columns.size());
  shape.groupSize = d.groupSize;
  shape.act = d.act;
  shape.out = d.out;
  shape.scaleType = d.scales;
  shape.siluMul = d.siluMul;
  return joined.finish();
}

Status cutColumns(LayerShape &shape, const LayerPlan &plan) {
  const Descriptor &d = shape.facts.descriptor;
  GPTQC_ASSIGN(const LayerShape::Rows range, cut(d.k, plan.columns, "input features"));
  const bool reorder = plan.xIsPermuted && d.actOrder;
  if (plan.columns.whole() && !reorder)
    return Status();
  if (d.actOrder && !plan.xIsPermuted)
    return invalidArgument(
        "layer '{}': the columns of an act-order rank are not consecutive; let X "
        "come in the order of the groups (x_is_permuted)",
        d.print());
  if (d.ragged)
    return makeError(Code::Unsupported,
                     "layer '{}': its groups differ in length, so it is neither reordered nor cut "
                     "along K",
                     d.print());
  // A rank holds whole groups, or lies inside of one.
  const int64_t size = d.effectiveGroupSize();
  if (range.count % size != 0 && size % range.count != 0)
    return invalidArgument("layer '{}': {} ranks would cut a group; use ranks that divide its {} "
                           "groups",
                           d.print(), plan.columns.ranks, shape.facts.groups);
  std::vector<int32_t> order = groupOrder(shape.facts);
  shape.columns.assign(order.begin() + range.first, order.begin() + range.first + range.count);
  GPTQC_ASSIGN(shape.facts, takeColumns(shape.facts, shape.columns));
  if (plan.columns.rank > 0) // outputs are summed over the ranks: one of them adds the bias
    std::fill(shape.facts.bias.begin(), shape.facts.bias.end(), uint16_t(0));
  return Status();
}

} // namespace

Result<LayerShape> joinParts(std::span<const QuantizedMatrix> parts, const LayerPlan &plan) {
  if (parts.empty())
    return invalidArgument("a layer needs at least one part");
  GPTQC_TRY(checkSame(parts));
  LayerShape shape;
  for (const QuantizedMatrix &part : parts) {
    GPTQC_ASSIGN(const LayerShape::Rows rows, cut(part.descriptor.n, plan.rows, "output features"));
    shape.rows.push_back(rows);
  }
  if (plan.siluMul && (parts.size() != 2 || shape.rows[0].count != shape.rows[1].count))
    return invalidArgument("silu_mul takes two parts of one size, gate and up; there {} {}",
                           parts.size() == 1 ? "is" : "are", parts.size());
  if (plan.siluMul && !plan.columns.whole())
    return invalidArgument(
        "silu_mul cannot be shared along K: ranks would apply it to partial sums");
  Joined joined = joinRows(parts, shape.rows);
  joined.shape.siluMul = plan.siluMul;
  GPTQC_ASSIGN(shape.facts, joined.finish());
  GPTQC_TRY(cutColumns(shape, plan));
  return shape;
}

} // namespace gptqc
