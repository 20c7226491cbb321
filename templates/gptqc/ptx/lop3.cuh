// Three-input logic in one instruction. The compiler splits (a & mask) | c in two when mask and c
// are both immediates, and a selection when it knows some bits; here they are registers.
#ifndef GPTQC_TEMPLATES_PTX_LOP3_CUH
#define GPTQC_TEMPLATES_PTX_LOP3_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// (a & mask) | c
GPTQC_DEVICE u32 and_or(u32 a, u32 mask, u32 c) {
  u32 d;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(d) : "r"(a), "r"(mask), "r"(c));
  return d;
}

/// Bits of a where mask has ones, of b elsewhere.
GPTQC_DEVICE u32 select_bits(u32 mask, u32 a, u32 b) {
  u32 d;
  asm("lop3.b32 %0, %1, %2, %3, 0xca;" : "=r"(d) : "r"(mask), "r"(a), "r"(b));
  return d;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_LOP3_CUH
