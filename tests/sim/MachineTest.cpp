// The simulator must see each kind of bug: small kernels, each right once and wrong once.
#define GPTQC_SIM_ARCH 800
#include "tests/sim/host/cuda_host.h"

#include <gtest/gtest.h>

#include "gptqc/ptx/block.cuh"
#include "gptqc/ptx/cp_async.cuh"
#include "gptqc/ptx/ldmatrix.cuh"

namespace gptqc::sim {
namespace {

alignas(16) uint8_t source[1024];
alignas(16) uint8_t result[1024];

Report runKernel(void (*kernel)(), size_t sharedBytes = 1024) {
  return run(
      {[](const void *context) { reinterpret_cast<void (*)()>(const_cast<void *>(context))(); },
       reinterpret_cast<const void *>(kernel),
       {1, 1, 1},
       64,
       sharedBytes,
       {{"source", source, sizeof source, false}, {"result", result, sizeof result, true}}});
}

testing::AssertionResult finds(const Report &report, const char *what) {
  if (report.text().find(what) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected '" << what << "', got: " << report.text();
}

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
  EXPECT_TRUE(finds(runKernel([] { write(1024); }), "no buffer"));
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
  EXPECT_TRUE(finds(report, "ldmatrix.x4"));
}

} // namespace
} // namespace gptqc::sim
