// wgmma (sm_90a): D[64][n] += A[64][16] B[16][n] by a warpgroup, A in registers, B in shared
// memory, fp32 accumulation.
//
// Warp w of the warpgroup holds rows 16w..16w+15: a[] as the A fragment of mma.m16n8k16, and of D
// d[4j..4j+3] as the accumulator of its j-th m16n8 tile: rows lane/4 (d[4j], d[4j+1]) and lane/4 +
// 8 (d[4j+2], d[4j+3]), columns 8j + 2 (lane%4) and the next.
#ifndef GPTQC_TEMPLATES_PTX_WGMMA_CUH
#define GPTQC_TEMPLATES_PTX_WGMMA_CUH

#include "gptqc/base.cuh"

namespace gptqc {

/// Describes B as [n][64] 16-bit elements in 128-byte rows with the 128-byte swizzle (as
/// tma_load_2d writes them), 1024-byte aligned. Adding 2 s addresses the columns 16s..16s+15,
/// adding x what lies 16 x bytes behind.
GPTQC_DEVICE u64 wgmma_descriptor(const void *shared) {
  const u64 address = (u32)__cvta_generic_to_shared(shared);
  u64 descriptor = (address >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62;
  asm("" : "+l"(descriptor)); // else what is added to it becomes three instructions
  return descriptor;
}

/// Orders this warpgroup's accesses to the registers of D and A before the wgmma that follow.
/// Needed before the first one, and whenever registers of a later one were written by other
/// instructions.
GPTQC_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

/// Closes the group of wgmma since the last commit.
GPTQC_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/// Waits until at most `pending` groups are in flight. Until its group has been waited for, a wgmma
/// reads A and B and writes D at any time: none of the three may be touched but by further wgmma.
template <int pending> GPTQC_DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

/// Keeps the compiler from moving accesses to d across this point.
template <int count> GPTQC_DEVICE void wgmma_pin(float (&d)[count]) {
#pragma unroll
  for (int i = 0; i < count; ++i)
    asm volatile("" : "+f"(d[i])::"memory");
}

#define GPTQC_WGMMA_D4 "%0, %1, %2, %3"
#define GPTQC_WGMMA_D8 GPTQC_WGMMA_D4 ", %4, %5, %6, %7"
#define GPTQC_WGMMA_D12 GPTQC_WGMMA_D8 ", %8, %9, %10, %11"
#define GPTQC_WGMMA_D16 GPTQC_WGMMA_D12 ", %12, %13, %14, %15"
#define GPTQC_WGMMA_D20 GPTQC_WGMMA_D16 ", %16, %17, %18, %19"
#define GPTQC_WGMMA_D24 GPTQC_WGMMA_D20 ", %20, %21, %22, %23"
#define GPTQC_WGMMA_D28 GPTQC_WGMMA_D24 ", %24, %25, %26, %27"
#define GPTQC_WGMMA_D32 GPTQC_WGMMA_D28 ", %28, %29, %30, %31"
#define GPTQC_WGMMA_D48                                                                            \
  GPTQC_WGMMA_D32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, "  \
                  "%47"
#define GPTQC_WGMMA_D64                                                                            \
  GPTQC_WGMMA_D48 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, "  \
                  "%63"
#define GPTQC_WGMMA_D80                                                                            \
  GPTQC_WGMMA_D64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, "  \
                  "%79"
#define GPTQC_WGMMA_D96                                                                            \
  GPTQC_WGMMA_D80 ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, "  \
                  "%95"
#define GPTQC_WGMMA_D112                                                                           \
  GPTQC_WGMMA_D96 ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, "   \
                  "%109, %110, %111"
#define GPTQC_WGMMA_D128                                                                           \
  GPTQC_WGMMA_D112 ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, "    \
                   "%124, %125, %126, %127"
#define GPTQC_WGMMA_O4(d, i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define GPTQC_WGMMA_O16(d, i)                                                                      \
  GPTQC_WGMMA_O4(d, i), GPTQC_WGMMA_O4(d, (i) + 4), GPTQC_WGMMA_O4(d, (i) + 8),                    \
      GPTQC_WGMMA_O4(d, (i) + 12)
#define GPTQC_WGMMA_OPERANDS4(d) GPTQC_WGMMA_O4(d, 0)
#define GPTQC_WGMMA_OPERANDS8(d) GPTQC_WGMMA_O4(d, 0), GPTQC_WGMMA_O4(d, 4)
#define GPTQC_WGMMA_OPERANDS12(d) GPTQC_WGMMA_O4(d, 0), GPTQC_WGMMA_O4(d, 4), GPTQC_WGMMA_O4(d, 8)
#define GPTQC_WGMMA_OPERANDS16(d) GPTQC_WGMMA_O16(d, 0)
#define GPTQC_WGMMA_OPERANDS20(d) GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O4(d, 16)
#define GPTQC_WGMMA_OPERANDS24(d)                                                                  \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O4(d, 16), GPTQC_WGMMA_O4(d, 20)
#define GPTQC_WGMMA_OPERANDS28(d)                                                                  \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O4(d, 16), GPTQC_WGMMA_O4(d, 20), GPTQC_WGMMA_O4(d, 24)
#define GPTQC_WGMMA_OPERANDS32(d) GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O16(d, 16)
#define GPTQC_WGMMA_OPERANDS48(d)                                                                  \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O16(d, 16), GPTQC_WGMMA_O16(d, 32)
#define GPTQC_WGMMA_OPERANDS64(d)                                                                  \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O16(d, 16), GPTQC_WGMMA_O16(d, 32), GPTQC_WGMMA_O16(d, 48)
#define GPTQC_WGMMA_OPERANDS80(d)                                                                  \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O16(d, 16), GPTQC_WGMMA_O16(d, 32), GPTQC_WGMMA_O16(d, 48),   \
      GPTQC_WGMMA_O16(d, 64)
#define GPTQC_WGMMA_OPERANDS96(d)                                                                  \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O16(d, 16), GPTQC_WGMMA_O16(d, 32), GPTQC_WGMMA_O16(d, 48),   \
      GPTQC_WGMMA_O16(d, 64), GPTQC_WGMMA_O16(d, 80)
#define GPTQC_WGMMA_OPERANDS112(d)                                                                 \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O16(d, 16), GPTQC_WGMMA_O16(d, 32), GPTQC_WGMMA_O16(d, 48),   \
      GPTQC_WGMMA_O16(d, 64), GPTQC_WGMMA_O16(d, 80), GPTQC_WGMMA_O16(d, 96)
#define GPTQC_WGMMA_OPERANDS128(d)                                                                 \
  GPTQC_WGMMA_O16(d, 0), GPTQC_WGMMA_O16(d, 16), GPTQC_WGMMA_O16(d, 32), GPTQC_WGMMA_O16(d, 48),   \
      GPTQC_WGMMA_O16(d, 64), GPTQC_WGMMA_O16(d, 80), GPTQC_WGMMA_O16(d, 96),                      \
      GPTQC_WGMMA_O16(d, 112)

/// One shape; `type` is f16 or bf16; a0..p are the positions of the operands behind the
/// `count` registers of D.
#define GPTQC_WGMMA_ISSUE(n, count, type, a0, a1, a2, a3, b, p)                                    \
  asm volatile("{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %" #p ", 0;\n"                  \
               "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." #type "." #type                   \
               " {" GPTQC_WGMMA_D##count "}, {%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, %" #b       \
                                         ", accumulate, 1, 1, 0;\n}"                               \
               : GPTQC_WGMMA_OPERANDS##count(d)                                                    \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor), "r"((int)accumulate) \
               : "memory")

#define GPTQC_WGMMA_SHAPE(n, count, a0, a1, a2, a3, b, p)                                          \
  template <> struct wgmma_shape<n> {                                                              \
    static __device__ __forceinline__ void f16(float (&d)[count], const u32 (&a)[4],               \
                                               u64 descriptor, bool accumulate) {                  \
      GPTQC_WGMMA_ISSUE(n, count, f16, a0, a1, a2, a3, b, p);                                      \
    }                                                                                              \
    static __device__ __forceinline__ void bf16(float (&d)[count], const u32 (&a)[4],              \
                                                u64 descriptor, bool accumulate) {                 \
      GPTQC_WGMMA_ISSUE(n, count, bf16, a0, a1, a2, a3, b, p);                                     \
    }                                                                                              \
  }

template <int n> struct wgmma_shape;
GPTQC_WGMMA_SHAPE(8, 4, 4, 5, 6, 7, 8, 9);
GPTQC_WGMMA_SHAPE(16, 8, 8, 9, 10, 11, 12, 13);
GPTQC_WGMMA_SHAPE(24, 12, 12, 13, 14, 15, 16, 17);
GPTQC_WGMMA_SHAPE(32, 16, 16, 17, 18, 19, 20, 21);
GPTQC_WGMMA_SHAPE(40, 20, 20, 21, 22, 23, 24, 25);
GPTQC_WGMMA_SHAPE(48, 24, 24, 25, 26, 27, 28, 29);
GPTQC_WGMMA_SHAPE(56, 28, 28, 29, 30, 31, 32, 33);
GPTQC_WGMMA_SHAPE(64, 32, 32, 33, 34, 35, 36, 37);
GPTQC_WGMMA_SHAPE(96, 48, 48, 49, 50, 51, 52, 53);
GPTQC_WGMMA_SHAPE(128, 64, 64, 65, 66, 67, 68, 69);
GPTQC_WGMMA_SHAPE(160, 80, 80, 81, 82, 83, 84, 85);
GPTQC_WGMMA_SHAPE(192, 96, 96, 97, 98, 99, 100, 101);
GPTQC_WGMMA_SHAPE(224, 112, 112, 113, 114, 115, 116, 117);
GPTQC_WGMMA_SHAPE(256, 128, 128, 129, 130, 131, 132, 133);

#undef GPTQC_WGMMA_SHAPE
#undef GPTQC_WGMMA_ISSUE

/// Starts D += A B (D = A B without `accumulate`) in f16; n is a multiple of 8 up to 64, of 32 up
/// to 256. All threads of the warpgroup call it together with the same descriptor.
template <int n>
GPTQC_DEVICE void wgmma_f16(float (&d)[n / 2], const u32 (&a)[4], u64 descriptor, bool accumulate) {
  wgmma_shape<n>::f16(d, a, descriptor, accumulate);
}
/// The same in bf16.
template <int n>
GPTQC_DEVICE void wgmma_bf16(float (&d)[n / 2], const u32 (&a)[4], u64 descriptor,
                             bool accumulate) {
  wgmma_shape<n>::bf16(d, a, descriptor, accumulate);
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_WGMMA_CUH
