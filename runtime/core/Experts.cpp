// Stacks layers into a grouped one, and takes one out again.
#include "runtime/core/Experts.h"

namespace gptqc {

namespace {

template <typename T> void append(std::vector<T> &all, const std::vector<T> &one) {
  all.insert(all.end(), one.begin(), one.end());
}

/// The share of an expert in an array of all; empty for an empty array.
template <typename T>
std::vector<T> shareOf(const std::vector<T> &all, int64_t expert, int64_t experts) {
  const auto count = int64_t(all.size()) / experts;
  return std::vector<T>(all.begin() + expert * count, all.begin() + (expert + 1) * count);
}

/// What all experts must share: the descriptor without what stacking fills in.
Descriptor sharedPart(Descriptor descriptor) {
  descriptor.sym = true;
  descriptor.actOrder = descriptor.ragged = false;
  return descriptor;
}

Status checkSame(const std::vector<QuantizedMatrix> &experts) {
  const QuantizedMatrix &first = experts[0];
  for (size_t e = 1; e < experts.size(); ++e)
    if (sharedPart(experts[e].descriptor) != sharedPart(first.descriptor) ||
        experts[e].groups != first.groups || experts[e].codes.size() != first.codes.size())
      return invalidArgument("experts 0 and {} of a grouped layer differ: '{}' with {} groups and "
                             "'{}' with {}; run them as layers of their own",
                             e, first.descriptor.print(), first.groups,
                             experts[e].descriptor.print(), experts[e].groups);
  return Status();
}

} // namespace

Result<QuantizedMatrix> stackExperts(const std::vector<QuantizedMatrix> &experts) {
  if (experts.size() < 2 || experts.size() > size_t(kMaxExperts))
    return invalidArgument("a grouped layer has 2 to {} experts; there {} {}", kMaxExperts,
                           experts.size() == 1 ? "is" : "are", experts.size());
  GPTQC_TRY(checkSame(experts));
  QuantizedMatrix stack;
  Descriptor &d = stack.descriptor;
  d = experts[0].descriptor;
  d.experts = int(experts.size());
  for (const QuantizedMatrix &expert : experts) {
    if (expert.descriptor.grouped())
      return invalidArgument("an expert is a grouped layer itself: '{}'",
                             expert.descriptor.print());
    d.sym = d.sym && expert.descriptor.sym;
    d.actOrder = d.actOrder || expert.descriptor.actOrder;
    d.ragged = d.ragged || expert.descriptor.ragged;
  }
  GPTQC_TRY(d.validate());
  stack.groups = experts[0].groups;
  for (const QuantizedMatrix &expert : experts) {
    append(stack.codes, expert.codes);
    append(stack.scales, expert.scales);
    append(stack.bias, expert.bias);
    if (!d.sym && expert.zeros.empty())
      stack.zeros.insert(stack.zeros.end(), size_t(stack.groups * d.n), uint8_t(d.symZero()));
    else if (!d.sym)
      append(stack.zeros, expert.zeros);
    for (int64_t k = 0; d.actOrder && k < d.k; ++k)
      stack.groupIndex.push_back(expert.groupOf(k));
  }
  return stack;
}

QuantizedMatrix expertOf(const QuantizedMatrix &matrix, int64_t expert) {
  const int64_t experts = matrix.descriptor.experts;
  QuantizedMatrix one;
  one.descriptor = matrix.descriptor;
  one.descriptor.experts = 1;
  one.groups = matrix.groups;
  one.codes = shareOf(matrix.codes, expert, experts);
  one.zeros = shareOf(matrix.zeros, expert, experts);
  one.scales = shareOf(matrix.scales, expert, experts);
  one.groupIndex = shareOf(matrix.groupIndex, expert, experts);
  one.bias = shareOf(matrix.bias, expert, experts);
  return one;
}

Status checkOffsets(const Descriptor &descriptor, std::span<const int32_t> offsets, int64_t rows) {
  if (int64_t(offsets.size()) != descriptor.experts + 1)
    return invalidArgument("layer '{}': {} expert offsets, {} needed", descriptor.print(),
                           offsets.size(), descriptor.experts + 1);
  int32_t before = 0;
  for (size_t e = 0; e < offsets.size(); ++e) {
    if (offsets[e] < before || offsets[e] > rows)
      return invalidArgument(
          "layer '{}': expert offset {} is {}; they ascend from 0 to the {} rows "
          "at most",
          descriptor.print(), e, offsets[e], rows);
    before = offsets[e];
  }
  return Status();
}

} // namespace gptqc
