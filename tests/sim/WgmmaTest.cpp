// The simulator's model of wgmma: its arithmetic, and each mistake that it sees.
#define GPTQC_SIM_ARCH 900
#include "tests/sim/host/cuda_host.h"

#include "gptqc/ptx/block.cuh"
#include "gptqc/ptx/tma.cuh"
#include "gptqc/ptx/wgmma.cuh"
#include "runtime/core/Float16.h"
#include "tests/sim/RunKernel.h"

namespace gptqc::sim {
namespace {

enum class Use {
  Right,
  NoFence,
  NoWait,
  NoCommit,
  EarlyOverwrite,
  EarlyRegisters,
  NoProxyFence,
  NoBarrier,
  OtherDescriptor,
  MissingWarp
};

/// result[64][8] = A B over k64, A[n][k] = (n + k) % 5, B[k][m] from the source, m-major.
template <Use how> void product() {
  GPTQC_SHARED_MEMORY(shared);
  const int tid = int(threadIdx.x), lane = tid % 32, warp = tid / 32;
  for (int i = tid; i < 8 * 64; i += 128) {
    const int m = i / 64, k = i % 64;
    ((u16 *)(shared + m * 128 + (k / 8 ^ m) * 16))[k % 8] = ((const u16 *)source)[i];
  }
  if (how != Use::NoProxyFence)
    fence_proxy_async();
  if (how != Use::NoBarrier)
    block_barrier();
  float d[4];
  u32 a[4][4];
  const u64 descriptor = wgmma_descriptor(shared);
  if (how != Use::NoFence)
    wgmma_fence();
  for (int step = 0; step < 4; ++step) {
    for (int r = 0; r < 4; ++r) {
      const int n = warp * 16 + lane / 4 + 8 * (r & 1);
      const int k = step * 16 + lane % 4 * 2 + 8 * (r >> 1);
      a[step][r] = floatToHalf(float((n + k) % 5)) | u32(floatToHalf(float((n + k + 1) % 5))) << 16;
    }
    const u64 other = how == Use::OtherDescriptor && warp == 3 ? 2 : 0;
    if (how != Use::MissingWarp || warp != 2)
      wgmma_f16<8>(d, a[step], descriptor + u64(2 * step) + other, step > 0);
  }
  if (how != Use::NoCommit)
    wgmma_commit();
  if (how == Use::EarlyOverwrite)
    shared[tid] = 0;
  if (how == Use::EarlyRegisters)
    a[3][0] ^= 1;
  if (how != Use::NoWait)
    wgmma_wait<0>();
  for (int i = 0; i < 4; ++i) {
    const int n = warp * 16 + lane / 4 + 8 * (i >> 1), m = lane % 4 * 2 + (i & 1);
    ((float *)result)[n * 8 + m] = d[i];
  }
}

double expected(int n, int m) {
  double sum = 0;
  for (int k = 0; k < 64; ++k)
    sum +=
        (n + k) % 5 * double(halfToFloat(reinterpret_cast<const uint16_t *>(source)[m * 64 + k]));
  return sum;
}

TEST(Wgmma, MultipliesAndSeesMistakes) {
  for (int i = 0; i < 512; ++i)
    reinterpret_cast<uint16_t *>(source)[i] = floatToHalf(float(i % 13 - 6));
  const Shape warpgroup = {.threads = 128};
  EXPECT_TRUE(clean(product<Use::Right>, warpgroup));
  const auto *out = reinterpret_cast<const float *>(result);
  for (int n = 0; n < 64; ++n)
    for (int m = 0; m < 8; ++m)
      EXPECT_EQ(out[n * 8 + m], expected(n, m));

  const auto sees = [&](void (*kernel)(), const char *what) {
    EXPECT_TRUE(finds(runKernel(kernel, warpgroup), what));
  };
  sees(product<Use::NoFence>, "without a wgmma.fence");
  sees(product<Use::NoWait>, "ends with wgmma in flight");
  EXPECT_NE(out[0], out[0]) << "results must not be there without a wait";
  sees(product<Use::NoCommit>, "ends with wgmma in flight");
  sees(product<Use::EarlyOverwrite>, "overwrites what another thread reads");
  sees(product<Use::EarlyRegisters>, "registers of A were overwritten");
  sees(product<Use::NoProxyFence>, "without a proxy fence");
  sees(product<Use::NoBarrier>, "without a barrier between");
  sees(product<Use::OtherDescriptor>, "issue different wgmma");
  sees(product<Use::MissingWarp>, "wait for wgmma");
}

/// A warpgroup multiplies by what a warp behind it loads, twice into the same place.
enum class Free { EveryWarp, OneWarp };
template <Free how> void refilled() {
  GPTQC_SHARED_MEMORY(shared);
  mbarrier *full = (mbarrier *)(shared + 2048), *empty = full + 1;
  const int tid = int(threadIdx.x);
  if (tid == 128) {
    mbarrier_init(full, 1);
    mbarrier_init(empty, how == Free::EveryWarp ? 4 : 1);
    mbarrier_fence_init();
  }
  block_barrier();
  for (u32 round = 0; round < 2; ++round) {
    if (tid == 128) {
      mbarrier_wait(empty, round ^ 1);
      mbarrier_arrive_expect(full, 1024);
      bulk_load(shared, source, 1024, full);
    }
    if (tid >= 128)
      continue;
    float d[4];
    const u32 a[4] = {};
    mbarrier_wait(full, round);
    wgmma_fence();
    wgmma_f16<8>(d, a, wgmma_descriptor(shared), false);
    wgmma_commit();
    wgmma_wait<0>();
    if (tid % 32 == 0 && (how == Free::EveryWarp || tid == 0))
      mbarrier_arrive(empty);
  }
}

TEST(Wgmma, EveryWarpFreesWhatItMultipliesBy) {
  const Shape shape = {.threads = 256};
  EXPECT_TRUE(clean(refilled<Free::EveryWarp>, shape));
  EXPECT_TRUE(finds(runKernel(refilled<Free::OneWarp>, shape), "overwrites what another thread"));
}

} // namespace
} // namespace gptqc::sim
