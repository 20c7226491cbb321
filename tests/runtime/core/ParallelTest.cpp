// Every index once, workers in range, and no work for an empty loop.
#include "runtime/core/Parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

using namespace gptqc;

TEST(Parallel, VisitsEveryIndexOnce) {
  for (int workers : {1, 2, 7}) {
    std::vector<std::atomic<int>> visits(1000);
    std::atomic<int> badWorker{0};
    parallelFor(1000, workers, [&](int64_t index, int worker) {
      ++visits[size_t(index)];
      badWorker += worker < 0 || worker >= workers;
    });
    for (const std::atomic<int> &count : visits)
      ASSERT_EQ(count, 1);
    EXPECT_EQ(badWorker, 0);
  }
}

TEST(Parallel, EmptyLoopCallsNothing) {
  parallelFor(0, 4, [](int64_t, int) { FAIL(); });
}

TEST(Parallel, ResolveKeepsARequestAndDefaultsToTheMachine) {
  EXPECT_EQ(resolveThreads(3), 3);
  EXPECT_GE(resolveThreads(0), 1);
  EXPECT_GE(resolveThreads(-1), 1);
}
