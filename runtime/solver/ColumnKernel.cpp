// Plain loops over lanes that the compiler vectorizes, compiled for three generations of processors
// and chosen at run time.
#include "runtime/solver/ColumnKernel.h"

#include <bit>

namespace gptqc {
namespace {

#define GPTQC_INLINE inline __attribute__((always_inline))

/// Nearest integer, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no fraction bits.
GPTQC_INLINE float roundEven(float x) { return (x + 12582912.0f) - 12582912.0f; }

GPTQC_INLINE float clampTo(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

/// The code of w. Quotients are bounded first, which changes no code: zero points reach 255.
GPTQC_INLINE float codeOf(float w, float scale, float zero, float maxCode) {
  return clampTo(roundEven(clampTo(w / scale, -1024.0f, 1024.0f)) + zero, 0.0f, maxCode);
}

/// |x|^2.4 to 1e-4: log2 and exp2 by polynomials through Chebyshev nodes.
GPTQC_INLINE float power24(float x) {
  const float square = x * x;
  const uint32_t bits = std::bit_cast<uint32_t>(square);
  const float t = std::bit_cast<float>((bits & 0x7fffffu) | 0x3f800000u) - 1.0f;
  const float log2 =
      float(int32_t(bits >> 23) - 127) +
      t * (1.4426039f +
           t * (-0.71671466f + t * (0.44059903f + t * (-0.22510303f + t * 0.05866494f))));
  const float exponent = clampTo(0.2f * log2, -60.0f, 60.0f); // (x^2)^0.2
  const float whole = roundEven(exponent - 0.5f), part = exponent - whole;
  const float exp2 =
      1.0000035f +
      part * (0.69297292f + part * (0.24160436f + part * (0.051744998f + part * 0.013670309f)));
  return square * exp2 * std::bit_cast<float>(uint32_t(int32_t(whole) + 127) << 23);
}

GPTQC_INLINE void quantizeColumns(LaneBlock &block) {
  LaneValues loss;
  for (int i = 0; i < block.columns; ++i) {
    const float *u = block.upper + i * block.stride;
    const float inverse = 1.0f / u[i];
    const float *w = block.weights[i].value, *scale = block.grids[i].scale.value,
                *zero = block.grids[i].zero.value;
    LaneValues e;
    LaneValues code;
#pragma GCC ivdep
    for (int lane = 0; lane < kLanes; ++lane) {
      const float q = codeOf(w[lane], scale[lane], zero[lane], block.maxCode);
      code.value[lane] = q;
      e.value[lane] = (w[lane] - scale[lane] * (q - zero[lane])) * inverse;
      loss.value[lane] += e.value[lane] * e.value[lane];
    }
    for (int lane = 0; lane < kLanes; ++lane)
      block.codes[i][lane] = uint8_t(code.value[lane]);
    block.errors[i] = e;
    for (int j = i + 1; j < block.columns; ++j) {
      float *other = block.weights[j].value;
      const float factor = u[j];
#pragma GCC ivdep
      for (int lane = 0; lane < kLanes; ++lane)
        other[lane] -= e.value[lane] * factor;
    }
  }
  block.loss = loss;
}

GPTQC_INLINE void addErrors(const LaneValues *weights, int64_t count, const LaneGrid &grid,
                            float maxCode, LaneValues &sums) {
  LaneValues total = sums;
  for (int64_t c = 0; c < count; ++c)
#pragma GCC ivdep
    for (int lane = 0; lane < kLanes; ++lane) {
      const float w = weights[c].value[lane], scale = grid.scale.value[lane],
                  zero = grid.zero.value[lane];
      total.value[lane] += power24(w - scale * (codeOf(w, scale, zero, maxCode) - zero));
    }
  sums = total;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void quantizeAvx2(LaneBlock &block) { quantizeColumns(block); }
__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))) void
quantizeAvx512(LaneBlock &block) {
  quantizeColumns(block);
}
__attribute__((target("avx2,fma"))) void errorsAvx2(const LaneValues *weights, int64_t count,
                                                    const LaneGrid &grid, float maxCode,
                                                    LaneValues &sums) {
  addErrors(weights, count, grid, maxCode, sums);
}
bool hasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool hasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

} // namespace

void quantizeBlock(LaneBlock &block) {
#if defined(__x86_64__)
  if (hasAvx512())
    return quantizeAvx512(block);
  if (hasAvx2())
    return quantizeAvx2(block);
#endif
  quantizeColumns(block);
}

void addGridError(const LaneValues *weights, int64_t count, const LaneGrid &grid, float maxCode,
                  LaneValues &sums) {
#if defined(__x86_64__)
  if (hasAvx2())
    return errorsAvx2(weights, count, grid, maxCode, sums);
#endif
  addErrors(weights, count, grid, maxCode, sums);
}

} // namespace gptqc
