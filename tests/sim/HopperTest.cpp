// The simulator's models of sm_90: each right once, and with each planted mistake.
#define GPTQC_SIM_ARCH 900
#include "tests/sim/host/cuda_host.h"

#include <cstring>

#include "gptqc/ptx/block.cuh"
#include "gptqc/ptx/cluster.cuh"
#include "gptqc/ptx/griddep.cuh"
#include "gptqc/ptx/ldmatrix.cuh"
#include "gptqc/ptx/stmatrix.cuh"
#include "gptqc/ptx/tma.cuh"
#include "gptqc/ptx/warpgroup.cuh"
#include "tests/sim/RunKernel.h"

namespace gptqc::sim {
namespace {

enum class Pipe {
  Right,
  NoFullWait,
  NoEmptyWait,
  WrongBytes,
  WrongParity,
  NoArrive,
  TwoArrivals,
  TooManyArrivals,
  NoInitFence,
  NoInitBarrier
};

/// Thread 0 fills two stages by bulk copies, warp 1 reads them.
template <Pipe how> void pipeline() {
  GPTQC_SHARED_MEMORY(shared);
  mbarrier *full = (mbarrier *)(shared + 1024), *empty = full + 2;
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; ++s) {
      mbarrier_init(full + s, 1);
      mbarrier_init(empty + s, 32);
    }
    if (how != Pipe::NoInitFence)
      mbarrier_fence_init();
  }
  if (how != Pipe::NoInitBarrier)
    block_barrier();
  for (int i = 0; i < 4; ++i) {
    const int s = i % 2, round = i / 2;
    u8 *stage = shared + s * 512;
    if (threadIdx.x == 0) {
      if (how != Pipe::NoEmptyWait)
        mbarrier_wait(empty + s, u32(round & 1) ^ 1);
      mbarrier_arrive_expect(full + s, how == Pipe::WrongBytes ? 256 : 512);
      if (how == Pipe::TwoArrivals)
        mbarrier_arrive(full + s);
      bulk_load(stage, source + s * 512, 512, full + s);
    } else if (threadIdx.x >= 32) {
      if (how != Pipe::NoFullWait)
        mbarrier_wait(full + s, u32(round & 1) ^ (how == Pipe::WrongParity));
      result[i * 32 + threadIdx.x] = stage[threadIdx.x];
      if (how != Pipe::NoArrive)
        mbarrier_arrive(empty + s);
      if (how == Pipe::TooManyArrivals) { // three phases instead of one
        mbarrier_arrive(empty + s);
        mbarrier_arrive(empty + s);
      }
    }
  }
}

TEST(Hopper, BulkCopiesThroughMbarriers) {
  for (int i = 0; i < 1024; ++i)
    source[i] = uint8_t(i);
  EXPECT_TRUE(clean(pipeline<Pipe::Right>));
  EXPECT_EQ(result[32 + 5], source[32 + 5]);
  const auto sees = [](void (*kernel)(), const char *what) {
    EXPECT_TRUE(finds(runKernel(kernel), what));
  };
  sees(pipeline<Pipe::NoFullWait>, "that nobody waited for");
  sees(pipeline<Pipe::NoEmptyWait>, "overwrites");
  sees(pipeline<Pipe::WrongParity>, "reads bytes of an asynchronous copy");
  sees(pipeline<Pipe::TwoArrivals>, "one arrival more than the 1 of");
  sees(pipeline<Pipe::TooManyArrivals>, "the parity is ambiguous");
  sees(pipeline<Pipe::NoInitFence>, "no fence made");
  sees(pipeline<Pipe::NoInitBarrier>, "no barrier behind its initialization");
  sees(pipeline<Pipe::WrongBytes>,
       "threads 32-63 of block (0,0,0) wait for the mbarrier at shared+1024 (phase 0: 0 of 1 "
       "arrivals and -256 bytes missing)");
  sees(pipeline<Pipe::NoArrive>, "threads 0 of block (0,0,0) wait for the mbarrier at shared+1040 "
                                 "(phase 0: 32 of 32 arrivals and 0 bytes missing)");
}

tensor_map mapOf(void *base, int rows, int columns, int boxRows) {
  tensor_map map = {};
  TensorMap facts;
  facts.base = reinterpret_cast<uint64_t>(base);
  facts.rows = rows;
  facts.columns = columns;
  facts.strideBytes = 128;
  facts.boxColumns = 64;
  facts.boxRows = boxRows;
  facts.swizzle = 128;
  std::memcpy(&map, &facts, sizeof facts);
  return map;
}
const tensor_map sourceMap = mapOf(source, 8, 64, 16), resultMap = mapOf(result, 6, 60, 16);

/// A box that hangs over all edges, and back: zeros outside, nothing written outside.
enum class Store { Right, NoProxyFence, NoBarrier, NoWait };
template <Store how> void throughShared() {
  GPTQC_SHARED_MEMORY(shared);
  mbarrier *full = (mbarrier *)(shared + 2048);
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    mbarrier_fence_init();
    mbarrier_arrive_expect(full, 2048);
    tma_load_2d(shared, sourceMap, 8, -2, full);
  }
  block_barrier();
  mbarrier_wait(full, 0);
  for (int i = int(threadIdx.x); i < 16 * 64; i += 64) {
    const int r = i / 64, c = i % 64, at = r * 128 + (c / 8 ^ (r & 7)) * 16 + c % 8 * 2;
    const bool inside = r >= 2 && r < 10 && c < 56;
    u16 *element = (u16 *)(shared + at);
    if (*element != (inside ? (r - 2) * 64 + c + 8 : 0))
      *element = 0xffff; // seen in the result
    *element += 1;
  }
  if (how != Store::NoProxyFence)
    fence_proxy_async();
  if (how != Store::NoBarrier)
    block_barrier();
  if (threadIdx.x == 0) {
    tma_store_2d(resultMap, shared, 0, 0);
    bulk_commit();
    if (how != Store::NoWait)
      bulk_wait_read<0>();
  }
}

TEST(Hopper, TensorMapLoadsAndStores) {
  for (int i = 0; i < 512; ++i)
    reinterpret_cast<uint16_t *>(source)[i] = uint16_t(i);
  std::fill_n(result, sizeof result, 0xee);
  EXPECT_TRUE(clean(throughShared<Store::Right>));
  const auto *out = reinterpret_cast<const uint16_t *>(result);
  for (int r = 0; r < 8; ++r)
    for (int c = 0; c < 64; ++c)
      EXPECT_EQ(out[r * 64 + c], r >= 6 || c >= 60  ? 0xeeee
                                 : r >= 2 && c < 56 ? (r - 2) * 64 + c + 9
                                                    : 1);
  EXPECT_TRUE(finds(runKernel(throughShared<Store::NoProxyFence>), "without a proxy fence"));
  EXPECT_TRUE(finds(runKernel(throughShared<Store::NoBarrier>), "without a barrier between"));
  EXPECT_TRUE(finds(runKernel(throughShared<Store::NoWait>), "still read shared memory"));
}

enum class Cluster {
  Right,
  RelaxedFirst,
  RelaxedFirstNoFence,
  NoFirstBarrier,
  NoLastBarrier,
  NoExpectInPeer,
  RelaxedArrive
};

/// Block 0 multicasts the source to both blocks; each reads a piece of the other.
template <Cluster how> void exchange() {
  GPTQC_SHARED_MEMORY(shared);
  mbarrier *full = (mbarrier *)(shared + 3072);
  const u32 rank = cluster_rank();
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    if (how == Cluster::RelaxedFirstNoFence)
      fence_proxy_async(); // makes it known to the copy engine, not to other blocks
    else
      mbarrier_fence_init();
    if (how != Cluster::NoExpectInPeer || rank == 0)
      mbarrier_arrive_expect(full, 2048);
  }
  if (how == Cluster::NoFirstBarrier)
    block_barrier();
  if (how == Cluster::RelaxedFirst || how == Cluster::RelaxedFirstNoFence)
    cluster_arrive_relaxed();
  else
    cluster_arrive();
  if (how != Cluster::NoFirstBarrier)
    cluster_wait();
  if (threadIdx.x == 0 && rank == 0)
    tma_load_2d_multicast(shared, sourceMap, 0, 0, full, 3);
  if (how == Cluster::NoFirstBarrier)
    cluster_wait();
  mbarrier_wait(full, 0);
  for (int i = 0; i < 4; ++i)
    ((float *)(shared + 2048))[4 * threadIdx.x + i] = float(rank);
  if (how == Cluster::RelaxedArrive)
    cluster_arrive_relaxed();
  else
    cluster_arrive();
  cluster_wait();
  float w[4];
  load_cluster_f32x4(w, shared + 2048 + 16 * (threadIdx.x ^ 1), rank ^ 1);
  ((float *)result)[rank * 64 + threadIdx.x] = w[0] + shared[0];
  if (how != Cluster::NoLastBarrier) {
    cluster_arrive();
    cluster_wait();
  }
}

TEST(Hopper, ClustersShareMemory) {
  const Shape pair = {.blocks = 2, .cluster = 2};
  std::fill_n(source, sizeof source, 0);
  EXPECT_TRUE(clean(exchange<Cluster::Right>, pair));
  EXPECT_EQ(*reinterpret_cast<const float *>(result), 1); // what rank 1 wrote, read by rank 0
  EXPECT_TRUE(clean(exchange<Cluster::RelaxedFirst>, pair));
  EXPECT_TRUE(finds(runKernel(exchange<Cluster::RelaxedFirstNoFence>, pair),
                    "no barrier behind its initialization"));
  EXPECT_FALSE(runKernel(exchange<Cluster::NoFirstBarrier>, pair).clean());
  EXPECT_TRUE(finds(runKernel(exchange<Cluster::NoLastBarrier>, pair), "block that has ended"));
  EXPECT_TRUE(
      finds(runKernel(exchange<Cluster::RelaxedArrive>, pair), "what another thread wrote"));
  EXPECT_TRUE(finds(runKernel(exchange<Cluster::NoExpectInPeer>, pair),
                    "threads 0-63 of block (1,0,0) wait for the mbarrier at shared[1]+3072"));
}

enum class Send { Right, NoExpect, NoWait, TooSoon, RelaxedLeave };

/// Each block sends to the other twice, into the same place.
template <Send how> void sendTwice() {
  GPTQC_SHARED_MEMORY(shared);
  auto *met = (mbarrier *)(shared + 1024), *left = met + 1;
  const u32 rank = cluster_rank();
  if (threadIdx.x == 0) {
    mbarrier_init(met, 1);
    mbarrier_init(left, 32);
    mbarrier_fence_init();
  }
  cluster_arrive();
  cluster_wait();
  for (int round = 0; round < 2; ++round) {
    if (round > 0 && how != Send::TooSoon)
      mbarrier_wait(left, 0);
    if (threadIdx.x == 0 && how != Send::NoExpect)
      mbarrier_arrive_expect(met, 512);
    const float v[4] = {float(rank * 2 + round), 1, 2, 3};
    store_cluster_async_f32x4(shared + 16 * threadIdx.x, met, rank ^ 1, v);
    if (how != Send::NoWait)
      mbarrier_wait(met, round);
    ((float *)result)[rank * 32 + threadIdx.x] = *(const float *)(shared + 16 * threadIdx.x);
    mbarrier_arrive_at(left, rank ^ 1);
  }
  if (how == Send::RelaxedLeave)
    cluster_arrive_relaxed();
  else
    cluster_arrive();
  cluster_wait();
}

TEST(Hopper, AsynchronousStoresCompleteTheOthersBarrier) {
  const Shape pair = {.blocks = 2, .threads = 32, .cluster = 2};
  EXPECT_TRUE(clean(sendTwice<Send::Right>, pair));
  EXPECT_EQ(reinterpret_cast<const float *>(result)[0], 3); // the second of rank 1
  EXPECT_EQ(reinterpret_cast<const float *>(result)[32], 1);
  EXPECT_TRUE(finds(runKernel(sendTwice<Send::NoExpect>, pair), "1 of 1 arrivals"));
  EXPECT_FALSE(runKernel(sendTwice<Send::NoWait>, pair).clean());
  EXPECT_FALSE(runKernel(sendTwice<Send::TooSoon>, pair).clean());
  EXPECT_TRUE(finds(runKernel(sendTwice<Send::RelaxedLeave>, pair), "may end before it lands"));
}

enum class Named { Right, WrongCount, NoArrive, WrongId };

/// Warp 1 waits for what warp 0 wrote; warp 0 does not wait.
template <Named how> void oneWay() {
  GPTQC_SHARED_MEMORY(shared);
  if (threadIdx.x < 32) {
    shared[threadIdx.x] = 7;
    if (how != Named::NoArrive)
      named_barrier_arrive(how == Named::WrongId ? 2 : 1, 64);
  } else {
    named_barrier_sync(1, how == Named::WrongCount ? 32 : 64);
    result[threadIdx.x] = shared[threadIdx.x - 32];
  }
}

TEST(Hopper, NamedBarriers) {
  EXPECT_TRUE(clean(oneWay<Named::Right>));
  EXPECT_FALSE(runKernel(oneWay<Named::WrongCount>).clean());
  EXPECT_TRUE(finds(runKernel(oneWay<Named::NoArrive>),
                    "threads 32-63 of block (0,0,0) wait for barrier 1 (32 of 64 arrived)"));
  EXPECT_TRUE(finds(runKernel(oneWay<Named::WrongId>), "deadlock"));
}

TEST(Hopper, ProgrammaticLaunchesWaitForTheKernelInFront) {
  static constexpr auto body = [](bool waits) {
    if (waits)
      wait_for_predecessors();
    result[threadIdx.x] = source[threadIdx.x];
    launch_successors();
  };
  const Shape programmatic = {.programmatic = true};
  EXPECT_TRUE(clean([] { body(true); }, programmatic));
  const Report report = runKernel([] { body(false); }, programmatic);
  EXPECT_TRUE(finds(report, "read at source+0 before griddepcontrol.wait"));
  EXPECT_TRUE(finds(report, "lets the next kernel start"));
}

TEST(Hopper, RegistersAreAWarpgroupsAffair) {
  const Shape warpgroup = {.threads = 128};
  EXPECT_TRUE(clean([] { lower_registers<40>(); }, warpgroup));
  EXPECT_TRUE(finds(runKernel(
                        [] {
                          if (threadIdx.x < 64)
                            lower_registers<40>();
                          else
                            raise_registers<232>();
                        },
                        warpgroup),
                    "setmaxnreg"));
  EXPECT_TRUE(finds(runKernel(
                        [] {
                          if (threadIdx.x < 96)
                            lower_registers<40>();
                        },
                        warpgroup),
                    "deadlock"));
}

TEST(Hopper, StmatrixIsTheWayBackOfATransposedLdmatrix) {
  EXPECT_TRUE(clean(
      [] {
        GPTQC_SHARED_MEMORY(shared);
        const u32 lane = threadIdx.x, row = lane / 4, column = lane % 4 * 2;
        const u32 pair[2] = {(row * 8 + column) | (row * 8 + column + 1) << 16, 0};
        stmatrix_x2_transposed(shared + lane * 16, pair);
        block_barrier();
        u32 d[2];
        ldmatrix_x2(d, shared + lane % 16 * 16);
        ((u32 *)result)[lane] = d[0];
      },
      {.threads = 32}));
  const auto *out = reinterpret_cast<const uint16_t *>(result);
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(out[i], i % 8 * 8 + i / 8);
}

} // namespace
} // namespace gptqc::sim
