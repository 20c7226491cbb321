// Integer types and small helpers that every device header uses. No header here includes the CUDA
// toolkit.
#ifndef GPTQC_TEMPLATES_BASE_CUH
#define GPTQC_TEMPLATES_BASE_CUH

#define GPTQC_DEVICE static __device__ __forceinline__

namespace gptqc {

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

/// Sixteen bytes that move as one.
struct __align__(16) u32x4 {
  u32 x, y, z, w;
};
struct __align__(8) u32x2 {
  u32 x, y;
};

template <typename T> GPTQC_DEVICE constexpr T min_of(T a, T b) { return a < b ? a : b; }
template <typename T> GPTQC_DEVICE constexpr T max_of(T a, T b) { return a > b ? a : b; }
template <typename T> GPTQC_DEVICE constexpr T ceil_div(T a, T b) { return (a + b - 1) / b; }

/// Shifts left by `amount`, right when it is negative; `amount` is a compile-time constant after
/// unrolling.
GPTQC_DEVICE u32 shift_left(u32 value, int amount) {
  return amount >= 0 ? value << amount : value >> -amount;
}

GPTQC_DEVICE int lane_id() { return threadIdx.x & 31; }
GPTQC_DEVICE int warp_id() { return threadIdx.x >> 5; }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_BASE_CUH
