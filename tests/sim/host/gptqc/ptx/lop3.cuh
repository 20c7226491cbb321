// Host version of ptx/lop3.cuh.
#ifndef GPTQC_TEMPLATES_PTX_LOP3_CUH
#define GPTQC_TEMPLATES_PTX_LOP3_CUH

#include "gptqc/base.cuh"

namespace gptqc {

inline u32 and_or(u32 a, u32 mask, u32 c) { return (a & mask) | c; }
inline u32 select_bits(u32 mask, u32 a, u32 b) { return (a & mask) | (b & ~mask); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_LOP3_CUH
