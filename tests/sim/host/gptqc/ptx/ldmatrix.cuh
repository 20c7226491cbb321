// Host version of ptx/ldmatrix.cuh (PTX ISA, "ldmatrix": lane l gets row l / 4, elements 2 (l % 4)
// and the next).
#ifndef GPTQC_TEMPLATES_PTX_LDMATRIX_CUH
#define GPTQC_TEMPLATES_PTX_LDMATRIX_CUH

#include <cstring>

#include "gptqc/base.cuh"

namespace gptqc {

template <int matrices> struct ldmatrix_operand {
  const u8 *row;
  u32 *d;
};
template <int matrices> inline void ldmatrix_all(void *const operands[32]) {
  const auto lane = [&](int l) { return static_cast<ldmatrix_operand<matrices> *>(operands[l]); };
  for (int i = 0; i < matrices; ++i)
    for (int l = 0; l < 32; ++l) {
      const u8 *pair = lane(i * 8 + l / 4)->row + l % 4 * 4;
      sim::touch(pair, 4, false);
      std::memcpy(&lane(l)->d[i], pair, 4);
    }
}
inline void ldmatrix_x4(u32 (&d)[4], const void *row) {
  ldmatrix_operand<4> operand{static_cast<const u8 *>(row), d};
  sim::warpCollective("ldmatrix.x4", &operand, ldmatrix_all<4>);
}
inline void ldmatrix_x2(u32 (&d)[2], const void *row) {
  ldmatrix_operand<2> operand{static_cast<const u8 *>(row), d};
  sim::warpCollective("ldmatrix.x2", &operand, ldmatrix_all<2>);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_LDMATRIX_CUH
