// Codes to 16-bit floats: register A fragments of W^T holding (code - zero point), exact in f16 and
// bf16. A code or-ed into the mantissa of a power of two is that power plus the code; one fused
// multiply-add takes the power, the zero point and the bit position off again (Kim et al., "Who
// Says Elephants Can't Run", 2022, and the lop3 trick of the FasterTransformer and Marlin kernels).
#ifndef GPTQC_TEMPLATES_DEQUANT_CUH
#define GPTQC_TEMPLATES_DEQUANT_CUH

#include "gptqc/types.cuh"
#include "gptqc/unpack.cuh"

namespace gptqc {

/// The bits of 2^exponent in f16.
GPTQC_DEVICE constexpr u32 f16_power(int exponent) { return (u32)(15 + exponent) << 10; }

/// The bits of -(2^exponent + value) in f16 for 0 <= value < 2^exponent <= 1024; exact.
GPTQC_DEVICE u32 f16_offset(int exponent, u32 value) {
  return 0x8000u | f16_power(exponent) | (value << (10 - exponent));
}

/// Per-register addends of the fused multiply-add; constants when symmetric.
template <int bits> struct zero_addends {
  u32 c[4];
};

template <int bits, typename act> struct dequantizer;

template <int bits> struct dequantizer<bits, f16> {
  /// zero0 and zero1: zero points of rows r and r + 8.
  static __device__ __forceinline__ zero_addends<bits> addends(u32 zero0, u32 zero1) {
    zero_addends<bits> result;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      // 1024 + (code << base), scaled by 2^-base: 2^(10 - base) + code.
      const int exponent = 10 - code_base<bits>(r);
      const u32 zero = r & 1 ? zero1 : zero0;
      result.c[r] = both_halves((u16)f16_offset(exponent, zero));
    }
    return result;
  }
  template <int steps>
  static __device__ __forceinline__ u32 convert(const weight_words<bits, steps> &words, int first,
                                                int s, int r, const zero_addends<bits> &zeros) {
    const int base = code_base<bits>(r);
    const u32 code = code_pair<bits, steps>(words, first, s, r, base, 0x64006400u);
    if (base == 0)
      return add_f16x2(code, zeros.c[r]);
    return fma_f16x2(code, both_halves((u16)f16_power(-base)), zeros.c[r]);
  }
};

#if __CUDA_ARCH__ >= 800
/// bf16 keeps 7 mantissa bits: codes up to 7 bits go over 128 + code, at bit 0.
template <int bits> struct dequantizer<bits, bf16> {
  static __device__ __forceinline__ zero_addends<bits> addends(u32 zero0, u32 zero1) {
    zero_addends<bits> result;
#pragma unroll
    for (int r = 0; r < 4; ++r) // the bits of -(128 + zero)
      result.c[r] = both_halves((u16)(0xc300u | (r & 1 ? zero1 : zero0)));
    return result;
  }
  template <int steps>
  static __device__ __forceinline__ u32 convert(const weight_words<bits, steps> &words, int first,
                                                int s, int r, const zero_addends<bits> &zeros) {
    return fma_bf16x2(code_pair<bits, steps>(words, first, s, r, 0, 0x43004300u), 0x3f803f80u,
                      zeros.c[r]);
  }
};

/// 8 bits go over fp32: 2^23 + code, minus (2^23 + zero), which bf16 then holds exactly.
template <> struct dequantizer<8, bf16> {
  static __device__ __forceinline__ zero_addends<8> addends(u32 zero0, u32 zero1) {
    return {{0x4b000000u | zero0, 0x4b000000u | zero1, 0x4b000000u | zero0, 0x4b000000u | zero1}};
  }
  template <int steps>
  static __device__ __forceinline__ u32 convert(const weight_words<8, steps> &words, int first,
                                                int s, int r, const zero_addends<8> &zeros) {
    const u32 code = code_pair<8, steps>(words, first, s, r, 0, 0);
    const float zero = __uint_as_float(zeros.c[r]);
    const float low = __uint_as_float(0x4b000000u | (code & 0xffu)) - zero;
    const float high = __uint_as_float(0x4b000000u | (code >> 16)) - zero;
    // Small integers: the low 16 bits of the floats are zero, so truncation is exact.
    return (__float_as_uint(low) >> 16) | (__float_as_uint(high) & 0xffff0000u);
  }
};
#endif

/// a[r] = code - zero point of register r, for step `s` of the words that start at step `first`.
template <int bits, typename act, int steps>
GPTQC_DEVICE void dequantize(u32 (&a)[4], const weight_words<bits, steps> &words,
                             const zero_addends<bits> &zeros, int first, int s) {
#pragma unroll
  for (int r = 0; r < 4; ++r)
    a[r] = dequantizer<bits, act>::template convert<steps>(words, first, s, r, zeros);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_DEQUANT_CUH
