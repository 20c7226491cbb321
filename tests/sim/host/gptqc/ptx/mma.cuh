// Host version of ptx/mma.cuh: exact products, fp32 accumulation (PTX ISA, "Matrix Fragments for
// mma.m16n8k16"; sm_75's two m16n8k8 give the same sum).
#ifndef GPTQC_TEMPLATES_PTX_MMA_CUH
#define GPTQC_TEMPLATES_PTX_MMA_CUH

#include "gptqc/base.cuh"
#include "runtime/core/Float16.h"

namespace gptqc {

struct mma_operand {
  float *d;
  const u32 *a, *b;
};
template <DType type> inline void mma_all(void *const operands[32]) {
  float a[16][16], b[16][8];
  for (int l = 0; l < 32; ++l) {
    const auto *lane = static_cast<mma_operand *>(operands[l]);
    const int g = l / 4, t = l % 4 * 2;
    for (int r = 0; r < 4; ++r)
      for (int h = 0; h < 2; ++h)
        a[g + 8 * (r & 1)][t + 8 * (r >> 1) + h] = toFloat(u16(lane->a[r] >> (16 * h)), type);
    for (int r = 0; r < 2; ++r)
      for (int h = 0; h < 2; ++h)
        b[t + 8 * r + h][g] = toFloat(u16(lane->b[r] >> (16 * h)), type);
  }
  for (int l = 0; l < 32; ++l) {
    float *d = static_cast<mma_operand *>(operands[l])->d;
    for (int i = 0; i < 4; ++i) {
      const int n = l / 4 + 8 * (i >> 1), m = l % 4 * 2 + (i & 1);
      float sum = d[i];
      for (int k = 0; k < 16; ++k)
        sum += a[n][k] * b[k][m];
      d[i] = sum;
    }
  }
}
inline void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  mma_operand operand{d, a, b};
  sim::warpCollective("mma.f16", &operand, mma_all<DType::F16>);
}
inline void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  mma_operand operand{d, a, b};
  sim::warpCollective("mma.bf16", &operand, mma_all<DType::BF16>);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_MMA_CUH
