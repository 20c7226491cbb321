// One register-blocked loop, compiled twice: for any processor, and for those with AVX2 and FMA,
// chosen at run time.
#include "runtime/cpu/Accumulate.h"

#include <cstring>

namespace gptqc {
namespace {

typedef float Vector4 __attribute__((vector_size(16)));
typedef float Vector8 __attribute__((vector_size(32)));

#define GPTQC_INLINE inline __attribute__((always_inline))

/// `Rows` rows of X at once, so that a loaded weight is used that often; accumulators stay in
/// registers.
template <typename Vector, int Rows>
GPTQC_INLINE void accumulateRows(const float *w, int64_t count, const float *x, int64_t ldx,
                                 float *acc) {
  constexpr int kParts = int(kTileRows * sizeof(float) / sizeof(Vector));
  Vector sums[Rows][kParts];
  std::memcpy(sums, acc, sizeof(sums));
  for (int64_t j = 0; j < count; ++j) {
    Vector weights[kParts];
    std::memcpy(weights, w + j * kTileRows, sizeof(weights));
#pragma GCC unroll 8
    for (int row = 0; row < Rows; ++row) {
      const float value = x[row * ldx + j];
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part)
        sums[row][part] += weights[part] * value;
    }
  }
  std::memcpy(acc, sums, sizeof(sums));
}

template <typename Vector, int Rows>
GPTQC_INLINE void accumulateAll(const float *w, int64_t count, const float *x, int64_t ldx,
                                int64_t rows, float *acc) {
  int64_t row = 0;
  for (; row + Rows <= rows; row += Rows)
    accumulateRows<Vector, Rows>(w, count, x + row * ldx, ldx, acc + row * kTileRows);
  for (; row < rows; ++row)
    accumulateRows<Vector, 1>(w, count, x + row * ldx, ldx, acc + row * kTileRows);
}

void accumulateGeneric(const float *w, int64_t count, const float *x, int64_t ldx, int64_t rows,
                       float *acc) {
  accumulateAll<Vector4, 2>(w, count, x, ldx, rows, acc);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void accumulateAvx2(const float *w, int64_t count,
                                                        const float *x, int64_t ldx, int64_t rows,
                                                        float *acc) {
  accumulateAll<Vector8, 4>(w, count, x, ldx, rows, acc);
}
#endif

} // namespace

void accumulateTile(const float *w, int64_t count, const float *x, int64_t ldx, int64_t rows,
                    float *acc) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return accumulateAvx2(w, count, x, ldx, rows, acc);
#endif
  accumulateGeneric(w, count, x, ldx, rows, acc);
}

} // namespace gptqc
