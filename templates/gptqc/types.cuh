// The two 16-bit element types as tags: conversion of single elements, and the tensor-core
// instruction.
#ifndef GPTQC_TEMPLATES_TYPES_CUH
#define GPTQC_TEMPLATES_TYPES_CUH

#include "gptqc/base.cuh"
#include "gptqc/ptx/half2.cuh"
#include "gptqc/ptx/mma.cuh"

namespace gptqc {

struct f16 {
  static __device__ __forceinline__ float to_float(u16 bits) { return f16_to_float(bits); }
  static __device__ __forceinline__ u16 from_float(float value) { return float_to_f16(value); }
  static __device__ __forceinline__ u32 mul2(u32 a, u32 b) { return mul_f16x2(a, b); }
  static __device__ __forceinline__ void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    mma_f16(d, a, b);
  }
};

struct bf16 {
  static __device__ __forceinline__ float to_float(u16 bits) {
    return __uint_as_float((u32)bits << 16);
  }
  /// Round to nearest even in integers, so that it works before sm_80 too.
  static __device__ __forceinline__ u16 from_float(float value) {
    const u32 bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
      return (u16)((bits >> 16) | 0x40u);
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  }
#if __CUDA_ARCH__ >= 800
  /// a * b + (-0): a bf16x2 multiply that sm_80 has.
  static __device__ __forceinline__ u32 mul2(u32 a, u32 b) { return fma_bf16x2(a, b, 0x80008000u); }
  static __device__ __forceinline__ void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    mma_bf16(d, a, b);
  }
#endif
};

/// The same 16 bits twice.
GPTQC_DEVICE u32 both_halves(u16 bits) { return (u32)bits * 0x00010001u; }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_TYPES_CUH
