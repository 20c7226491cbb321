// Random layers and activations; every block of memory has its own stream of random numbers.
#include "runtime/cpu/Synthetic.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "runtime/core/Experts.h"
#include "runtime/core/Float16.h"
#include "runtime/core/Parallel.h"
#include "runtime/cpu/Random.h"

namespace gptqc {
namespace {

enum Stream : uint64_t { kCodes = 1, kZeros, kScales, kGroups, kBias, kInputs, kExperts, kRouting };

/// Uniform codes 0..maxCode, eight per random word.
std::vector<uint8_t> randomCodes(int64_t count, int maxCode, uint64_t seed, int workers) {
  constexpr int64_t kBlock = int64_t(1) << 18;
  std::vector<uint8_t> codes(static_cast<size_t>(count));
  const uint64_t mask = uint64_t(maxCode) * 0x0101010101010101u;
  parallelFor((count + kBlock - 1) / kBlock, workers, [&](int64_t block, int) {
    Random random(mixSeed(seed, uint64_t(block)));
    const int64_t end = std::min(count, (block + 1) * kBlock);
    for (int64_t at = block * kBlock; at < end; at += 8) {
      const uint64_t word = random.next() & mask;
      std::memcpy(codes.data() + at, &word, size_t(std::min<int64_t>(8, end - at)));
    }
  });
  return codes;
}

/// Scales around 0.02 sqrt(12) / 2^bits: uniform codes then give weights of standard deviation
/// 0.02.
std::vector<uint16_t> randomScales(const Descriptor &d, int64_t groups, uint64_t seed) {
  Random random(seed);
  const float center = 0.02f * std::sqrt(12.0f) / float(d.maxCode() + 1);
  std::vector<uint16_t> scales(static_cast<size_t>(groups * d.n));
  for (uint16_t &scale : scales)
    scale = fromFloat(center * (0.5f + random.uniform()), d.scales);
  return scales;
}

/// Lengths of the groups of a ragged layer: at least 1, summing to K, not those of the nominal
/// size.
std::vector<int64_t> raggedLengths(const Descriptor &d, Random &random) {
  const int64_t groups = d.groupCount(), size = d.effectiveGroupSize();
  std::vector<int64_t> lengths(static_cast<size_t>(groups), size);
  lengths.back() = d.k - (groups - 1) * size;
  for (int64_t i = 0; i < 2 * groups; ++i) {
    const size_t from = size_t(random.below(groups)), to = size_t(random.below(groups));
    const int64_t moved = random.below(std::max<int64_t>(1, lengths[from] / 2)); // leaves >= 1
    lengths[from] -= moved;
    lengths[to] += moved;
  }
  if (lengths[0] == size && lengths[0] > 1) { // the first group differs, whatever was drawn
    lengths[0] -= 1;
    lengths.back() += 1;
  }
  return lengths;
}

/// g_idx of an act-order layer: the groups' columns in random places.
std::vector<int32_t> randomGroups(const Descriptor &d, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> index;
  index.reserve(size_t(d.k));
  if (d.ragged) {
    const std::vector<int64_t> lengths = raggedLengths(d, random);
    for (size_t g = 0; g < lengths.size(); ++g)
      index.insert(index.end(), size_t(lengths[g]), int32_t(g));
  } else {
    for (int64_t k = 0; k < d.k; ++k)
      index.push_back(int32_t(k / d.effectiveGroupSize()));
  }
  for (int64_t k = d.k - 1; k > 0; --k)
    std::swap(index[size_t(k)], index[size_t(random.below(k + 1))]);
  if (std::is_sorted(index.begin(), index.end())) // possible for tiny layers only
    std::swap(index.front(), index.back());
  return index;
}

/// Descriptors that parse but that no layer has.
Status checkMakeable(const Descriptor &d) {
  GPTQC_TRY(d.validate());
  if (d.actOrder && d.groupCount() < 2)
    return invalidArgument("no layer is `{}`: with a single group act-order changes nothing; drop "
                           "`actorder`",
                           d.print());
  if (d.ragged && !d.actOrder)
    return invalidArgument("no layer is `{}`: unequal groups come with a group table; write "
                           "`actorder ragged`",
                           d.print());
  if (d.ragged && d.effectiveGroupSize() < 2)
    return invalidArgument("no layer is `{}`: groups of one column cannot differ in length; drop "
                           "`ragged`",
                           d.print());
  return {};
}

float inputValue(Inputs inputs, Random &random, bool outlierColumn) {
  const float value = random.normal();
  if (inputs == Inputs::Shifted)
    return value + 3.0f;
  return inputs == Inputs::Outlier && outlierColumn ? 100.0f * value : value;
}

Result<QuantizedMatrix> syntheticExperts(const Descriptor &descriptor, uint64_t seed, int threads) {
  Descriptor plain = descriptor;
  plain.experts = 1;
  std::vector<QuantizedMatrix> experts;
  for (int e = 0; e < descriptor.experts; ++e) {
    GPTQC_ASSIGN(QuantizedMatrix one,
                 syntheticLayer(plain, mixSeed(mixSeed(seed, kExperts), uint64_t(e)), threads));
    experts.push_back(std::move(one));
  }
  return stackExperts(experts);
}

} // namespace

std::vector<int32_t> syntheticOffsets(Routing routing, int64_t experts, int64_t rows,
                                      uint64_t seed) {
  Random random(mixSeed(seed, kRouting));
  std::vector<int32_t> offsets(static_cast<size_t>(experts + 1));
  const int64_t one = random.below(experts);
  const auto next = [&] {
    if (routing == Routing::One)
      return one;
    const int64_t any = random.below(experts);
    if (routing == Routing::Uniform)
      return any;
    const int64_t low = random.below(any + 1);
    return low % 4 == 3 ? low - 1 : low;
  };
  // Top 2 of 8 experts, 4 of 64, 8 of 128 and more, as models have it.
  const int64_t top = std::clamp<int64_t>(experts / 16, 2, 8);
  std::vector<int64_t> taken; // of a token
  for (int64_t row = 0; row < rows; ++row) {
    int64_t expert = next();
    while (routing == Routing::Uniform &&
           std::find(taken.begin(), taken.end(), expert) != taken.end())
      expert = next();
    taken.push_back(expert);
    if (int64_t(taken.size()) == top)
      taken.clear();
    ++offsets[size_t(expert + 1)];
  }
  std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
  return offsets;
}

Result<QuantizedMatrix> syntheticLayer(const Descriptor &descriptor, uint64_t seed, int threads) {
  GPTQC_TRY(checkMakeable(descriptor));
  if (descriptor.grouped())
    return syntheticExperts(descriptor, seed, threads);
  const Descriptor &d = descriptor;
  const int64_t groups = d.groupCount();
  const int workers = resolveThreads(threads);
  const std::vector<uint8_t> codes =
      randomCodes(d.k * d.n, d.maxCode(), mixSeed(seed, kCodes), workers);
  std::vector<uint8_t> zeros;
  if (!d.sym) {
    zeros = randomCodes(groups * d.n, d.maxCode(), mixSeed(seed, kZeros), workers);
    zeros[0] = uint8_t(zeros[0] == d.symZero() ? zeros[0] - 1 : zeros[0]); // stays asymmetric
  }
  const std::vector<uint16_t> scales = randomScales(d, groups, mixSeed(seed, kScales));
  std::vector<int32_t> groupIndex;
  if (d.actOrder)
    groupIndex = randomGroups(d, mixSeed(seed, kGroups));
  std::vector<uint16_t> bias(d.bias ? size_t(d.n) : 0);
  Random biasRandom(mixSeed(seed, kBias));
  for (uint16_t &value : bias)
    value = fromFloat(0.5f * biasRandom.normal(), d.act);

  LayerCodes layer;
  layer.bits = d.bits;
  layer.n = d.n;
  layer.k = d.k;
  layer.groupSize = d.groupSize;
  layer.act = d.act;
  layer.out = d.out;
  layer.scaleType = d.scales;
  layer.codes = codes;
  layer.zeros = zeros;
  layer.scales = scales;
  layer.groupIndex = groupIndex;
  layer.bias = bias;
  layer.siluMul = d.siluMul;
  GPTQC_ASSIGN(QuantizedMatrix matrix, layerFromCodes(layer));
  matrix.descriptor.m = d.m;
  matrix.descriptor.batchInvariant = d.batchInvariant;
  if (matrix.descriptor != d.canonical())
    return makeError(Code::Internal, "a synthetic layer for `{}` came out as `{}`", d.print(),
                     matrix.descriptor.print());
  return matrix;
}

std::string_view inputsName(Inputs inputs) {
  switch (inputs) {
  case Inputs::Normal:
    return "normal";
  case Inputs::Shifted:
    return "shifted";
  case Inputs::Outlier:
    return "outlier";
  case Inputs::NonFinite:
    break;
  }
  return "nonfinite";
}

std::vector<uint16_t> syntheticActivations(Inputs inputs, int64_t m, int64_t k, DType type,
                                           uint64_t seed, int threads) {
  std::vector<uint16_t> x(static_cast<size_t>(m * k));
  const uint64_t stream = mixSeed(seed, kInputs);
  const int64_t outlier = Random(stream).below(k);
  parallelFor(m, resolveThreads(threads), [&](int64_t row, int) {
    Random random(mixSeed(stream, uint64_t(row) + 1));
    for (int64_t column = 0; column < k; ++column)
      x[size_t(row * k + column)] = fromFloat(inputValue(inputs, random, column == outlier), type);
  });
  if (inputs == Inputs::NonFinite && m > 0) {
    x[size_t(m / 2 * k + outlier)] = fromFloat(NAN, type);
    if (m >= 3)
      x[size_t((m / 2 + 1) * k + outlier)] = fromFloat(INFINITY, type);
  }
  return x;
}

} // namespace gptqc
