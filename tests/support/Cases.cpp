// The pairwise cover of small descriptors.
#include "tests/support/Cases.h"

#include "tests/support/Pairwise.h"

namespace gptqc::fixtures {
namespace {

constexpr int64_t kGroups[] = {-1, 16, 32, 40, 64, 128};
constexpr int64_t kN[] = {8, 48, 94, 130};
constexpr int64_t kK[] = {72, 100, 257, 384};

Descriptor fromRow(const std::vector<int> &row) {
  Descriptor d;
  d.bits = 2 + row[0];
  d.sym = row[1] == 0;
  d.groupSize = kGroups[row[2]];
  d.actOrder = row[3] >= 1;
  d.ragged = row[3] == 2;
  d.act = row[4] == 0 ? DType::F16 : DType::BF16;
  d.out = row[5] == 0 ? DType::F16 : DType::BF16;
  d.scales = row[6] == 0 ? DType::F16 : DType::BF16;
  d.bias = row[7] & 1;
  d.siluMul = row[7] & 2;
  d.n = kN[row[8]];
  if (!d.siluMul && row[8] == 2)
    d.n = 93; // an odd N, which silu_mul cannot have
  d.k = kK[row[9]];
  d.m = {1, kUnboundedM};
  return d;
}

bool hasLayer(const std::vector<int> &row) {
  const Descriptor d = fromRow(row);
  return d.canonical() == d && !(d.actOrder && d.groupCount() < 2);
}

} // namespace

std::vector<Descriptor> smallCases() {
  std::vector<Descriptor> cases;
  for (const std::vector<int> &row : pairwiseCover({7, 2, 6, 3, 2, 2, 2, 4, 4, 4}, hasLayer, 22))
    cases.push_back(fromRow(row));
  return cases;
}

} // namespace gptqc::fixtures
