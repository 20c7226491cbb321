// Host version of ptx/stmatrix.cuh.
#ifndef GPTQC_TEMPLATES_PTX_STMATRIX_CUH
#define GPTQC_TEMPLATES_PTX_STMATRIX_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline void stmatrix_x4_transposed(void *column, const u32 (&d)[4]) {
  sim::storeMatricesTransposed(4, column, d);
}
inline void stmatrix_x2_transposed(void *column, const u32 (&d)[2]) {
  sim::storeMatricesTransposed(2, column, d);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_STMATRIX_CUH
