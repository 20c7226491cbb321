// Host version of ptx/ldmatrix.cuh.
#ifndef GPTQC_TEMPLATES_PTX_LDMATRIX_CUH
#define GPTQC_TEMPLATES_PTX_LDMATRIX_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline void ldmatrix_x4(u32 (&d)[4], const void *row) { sim::loadMatrices(4, row, d); }
inline void ldmatrix_x2(u32 (&d)[2], const void *row) { sim::loadMatrices(2, row, d); }

inline void ldmatrix_x4_transposed(u32 (&d)[4], const void *row) {
  sim::loadMatricesTransposed(4, row, d);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_LDMATRIX_CUH
