// ldmatrix: 8x8 matrices of 16-bit elements from shared memory to the fragments of a warp (sm_75+).
#ifndef GPTQC_TEMPLATES_PTX_LDMATRIX_CUH
#define GPTQC_TEMPLATES_PTX_LDMATRIX_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Lanes 8i..8i+7 give the row addresses of matrix i; d[i] is this lane's pair of matrix i.
GPTQC_DEVICE void ldmatrix_x4(u32 (&d)[4], const void *row) {
  const u32 address = (u32)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(address)
               : "memory");
}
GPTQC_DEVICE void ldmatrix_x2(u32 (&d)[2], const void *row) {
  const u32 address = (u32)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(d[0]), "=r"(d[1])
               : "r"(address)
               : "memory");
}

/// The same, each matrix transposed on the way.
GPTQC_DEVICE void ldmatrix_x4_transposed(u32 (&d)[4], const void *row) {
  const u32 address = (u32)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(address)
               : "memory");
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_LDMATRIX_CUH
