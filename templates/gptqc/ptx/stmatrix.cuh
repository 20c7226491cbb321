// stmatrix (sm_90): fragments of a warp to 8x8 matrices of 16-bit elements in shared memory.
#ifndef GPTQC_TEMPLATES_PTX_STMATRIX_CUH
#define GPTQC_TEMPLATES_PTX_STMATRIX_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Stores matrix i of d[i], transposed: lanes 8i..8i+7 give the addresses (16-byte aligned) of its
/// columns; d[i] of lane l holds its elements (l / 4, 2 (l % 4)) and (l / 4, 2 (l % 4) + 1), so the
/// element (row, column) lands at 16-bit position `row` behind address `column`.
GPTQC_DEVICE void stmatrix_x4_transposed(void *column, const u32 (&d)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                   (u32)__cvta_generic_to_shared(column)),
               "r"(d[0]), "r"(d[1]), "r"(d[2]), "r"(d[3])
               : "memory");
}
/// The same for two matrices; lanes 0..15 give addresses.
GPTQC_DEVICE void stmatrix_x2_transposed(void *column, const u32 (&d)[2]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(
                   (u32)__cvta_generic_to_shared(column)),
               "r"(d[0]), "r"(d[1])
               : "memory");
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_STMATRIX_CUH
