// The simulator must see each kind of bug: small kernels, each right once and wrong once.
#define GPTQC_SIM_ARCH 800
#include "tests/sim/host/cuda_host.h"

#include "gptqc/ptx/atomic.cuh"
#include "gptqc/ptx/block.cuh"
#include "gptqc/ptx/cp_async.cuh"
#include "gptqc/ptx/ldmatrix.cuh"
#include "gptqc/ptx/warp.cuh"
#include "tests/sim/RunKernel.h"

namespace gptqc::sim {
namespace {

/// Every thread writes its word and reads its neighbour's.
void exchange(bool barrier) {
  GPTQC_SHARED_MEMORY(shared);
  u32 *words = (u32 *)shared;
  words[threadIdx.x] = threadIdx.x;
  if (barrier)
    block_barrier();
  ((u32 *)result)[threadIdx.x] = words[(threadIdx.x + 1) % 64];
}

TEST(Machine, SeesAMissingBarrier) {
  EXPECT_EQ(runKernel([] { exchange(true); }).text(), "");
  EXPECT_FALSE(runKernel([] { exchange(false); }).clean());
}

TEST(Machine, SeesAnOverwriteOfWhatOthersRead) {
  static constexpr auto body = [](bool barrier) {
    GPTQC_SHARED_MEMORY(shared);
    u32 *words = (u32 *)shared;
    words[threadIdx.x] = 1;
    block_barrier();
    const u32 value = words[(threadIdx.x + 1) % 64];
    if (barrier)
      block_barrier();
    words[threadIdx.x] = value + 1;
  };
  EXPECT_EQ(runKernel([] { body(true); }).text(), "");
  EXPECT_TRUE(finds(runKernel([] { body(false); }), "without a barrier between"));
}

void copyThrough(bool commit, int pending) {
  GPTQC_SHARED_MEMORY(shared);
  const int at = int(threadIdx.x) * 16;
  copy_async_16(shared + at, source + at, 16);
  if (commit)
    commit_copies();
  if (pending == 0)
    wait_copies<0>();
  else
    wait_copies<1>();
  *(u32 *)(result + at) = *(const u32 *)(shared + at);
}

TEST(Machine, SeesACopyNobodyWaitedFor) {
  EXPECT_EQ(runKernel([] { copyThrough(true, 0); }).text(), "");
  EXPECT_TRUE(finds(runKernel([] { copyThrough(true, 1); }), "nobody waited for"));
  EXPECT_TRUE(finds(runKernel([] { copyThrough(false, 0); }), "nobody waited for"));
}

TEST(Machine, SeesUninitializedSharedMemory) {
  EXPECT_TRUE(finds(runKernel([] {
                      GPTQC_SHARED_MEMORY(shared);
                      result[threadIdx.x] = shared[threadIdx.x];
                    }),
                    "uninitialized"));
}

TEST(Machine, SeesAccessesOutOfBounds) {
  static constexpr auto write = [](u32 at) {
    GPTQC_SHARED_MEMORY(shared);
    shared[at] = 1;
  };
  EXPECT_TRUE(finds(runKernel([] { write(4096); }), "leaves the"));
  EXPECT_TRUE(finds(runKernel([] { *(u32 *)(result + sizeof result - 2) = threadIdx.x; }),
                    "leaves the buffer"));
  EXPECT_TRUE(finds(runKernel([] { source[threadIdx.x] = 1; }), "read-only"));
}

TEST(Machine, SeesMisalignedAccesses) {
  EXPECT_TRUE(finds(runKernel([] { *(volatile u32 *)(result + 2) = threadIdx.x; }), "misaligned"));
}

TEST(Machine, ReportsADeadlockWithTheWaitingThreads) {
  const Report report = runKernel([] {
    u32 d[4];
    GPTQC_SHARED_MEMORY(shared);
    ((u32 *)shared)[threadIdx.x] = 0;
    block_barrier();
    if (threadIdx.x != 7)
      ldmatrix_x4(d, shared);
    else
      block_barrier();
  });
  EXPECT_TRUE(finds(report, "deadlock"));
  EXPECT_TRUE(finds(report, "threads 0-6, 8-31 of block (0,0,0) wait for ldmatrix"));
  EXPECT_TRUE(finds(report, "threads 7 of block (0,0,0) wait for the block barrier (1 arrived)"));
}

TEST(Machine, SeesAMissingWarpBarrier) {
  static constexpr auto body = [](bool barrier) {
    GPTQC_SHARED_MEMORY(shared);
    u32 *words = (u32 *)shared;
    words[threadIdx.x] = threadIdx.x;
    if (barrier)
      warp_barrier();
    ((u32 *)result)[threadIdx.x] = words[threadIdx.x ^ 1];
  };
  EXPECT_TRUE(clean([] { body(true); }));
  EXPECT_TRUE(finds(runKernel([] { body(false); }), "without a barrier between"));
  // A warp barrier does not order other warps.
  EXPECT_TRUE(finds(runKernel([] {
                      GPTQC_SHARED_MEMORY(shared);
                      shared[threadIdx.x] = 1;
                      warp_barrier();
                      result[threadIdx.x] = shared[threadIdx.x ^ 32];
                    }),
                    "without a barrier between"));
}

TEST(Machine, SeesRacesBetweenBlocks) {
  EXPECT_TRUE(clean([] { result[blockIdx.x * 64 + threadIdx.x] = 1; }, {.blocks = 4}));
  EXPECT_TRUE(
      finds(runKernel([] { result[threadIdx.x] = 1; }, {.blocks = 2}), "races with a write"));
  EXPECT_TRUE(finds(runKernel(
                        [] {
                          if (blockIdx.x == 0)
                            result[threadIdx.x] = 1;
                          else if (threadIdx.x == 0)
                            result[64] = result[1];
                        },
                        {.blocks = 2}),
                    "what another thread wrote"));
}

/// Both blocks write; the one that counts second adds up what both wrote.
enum class Handover { Right, NoReleaseFence, NoAcquireFence, NoBarrierBeforeCount };
template <Handover how> void handOver() {
  GPTQC_SHARED_MEMORY(shared);
  u32 *counter = (u32 *)result, *words = (u32 *)result + 16, *before = (u32 *)shared;
  words[blockIdx.x * 64 + threadIdx.x] = 1;
  if (how != Handover::NoReleaseFence)
    fence_device();
  if (how != Handover::NoBarrierBeforeCount)
    block_barrier();
  if (threadIdx.x == 0)
    *before = count_in(counter);
  block_barrier();
  if (*before != 1)
    return;
  if (how != Handover::NoAcquireFence)
    fence_device();
  words[128 + threadIdx.x] =
      load_uncached((const float *)words + threadIdx.x) + words[64 + threadIdx.x];
  if (threadIdx.x == 0)
    *counter = 0;
}

TEST(Machine, SeesMissingFencesBetweenBlocks) {
  const Shape two = {.blocks = 2};
  std::fill_n(result, sizeof result, 0);
  EXPECT_TRUE(clean(handOver<Handover::Right>, two));
  for (auto wrong : {handOver<Handover::NoReleaseFence>, handOver<Handover::NoAcquireFence>,
                     handOver<Handover::NoBarrierBeforeCount>}) {
    std::fill_n(result, sizeof result, 0);
    EXPECT_TRUE(finds(runKernel(wrong, two), "what another thread wrote"));
  }
}

} // namespace
} // namespace gptqc::sim
