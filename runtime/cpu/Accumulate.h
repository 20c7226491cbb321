// The inner product of the CPU executor: a tile of 16 weight rows times some rows of X.
#ifndef GPTQC_RUNTIME_CPU_ACCUMULATE_H
#define GPTQC_RUNTIME_CPU_ACCUMULATE_H

#include <cstdint>

namespace gptqc {

/// Weight rows of a tile.
inline constexpr int kTileRows = 16;

/// acc[m][r] += sum over j < count of w[j][r] * x[m][j], in fp32 and in increasing order of j, for
/// m < rows. w is [count][16]; x has a row stride of ldx elements; acc is [rows][16]. Uses AVX2 and
/// FMA where the processor has them. Thread-safe.
void accumulateTile(const float *w, int64_t count, const float *x, int64_t ldx, int64_t rows,
                    float *acc);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_ACCUMULATE_H
