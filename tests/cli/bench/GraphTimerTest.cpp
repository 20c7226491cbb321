// GraphTimer on the fake driver: what is recorded, in which order, and how errors come back.
#include "cli/bench/GraphTimer.h"

#include <algorithm>

#include "tests/runtime/device/FakeDevice.h"

namespace gptqc::cli {
namespace {

class GraphTimerTest : public FakeDevice {};

TEST_F(GraphTimerTest, CopiesRotateAndEveryWorkloadIsReplayed) {
  const auto stream = Stream::create(*device);
  ASSERT_TRUE(stream.ok());
  std::vector<int> first, second;
  const std::vector<Workload> workloads = {
      {3, [&](int copy) { return first.push_back(copy), Status(); }},
      {1, [&](int copy) { return second.push_back(copy), Status(); }}};
  const auto timings = GraphTimer(*stream, 50).measure(workloads);
  ASSERT_TRUE(timings.ok()) << timings.status().message();
  EXPECT_EQ(timings->size(), 2u);
  EXPECT_EQ(std::vector<int>(first.begin(), first.begin() + 4), (std::vector<int>{0, 1, 2, 0}));
  EXPECT_EQ(*std::max_element(first.begin(), first.end()), 2);
  EXPECT_EQ(*std::max_element(second.begin(), second.end()), 0);
  // Estimate: a warm-up and two timed launches; then a warm-up and at least five replays.
  EXPECT_GE(fake.graphLaunches, 2 * (3 + 1 + 5));
}

TEST_F(GraphTimerTest, AnErrorOfALaunchIsReturned) {
  const auto stream = Stream::create(*device);
  const Workload failing = {1, [](int) { return makeError(Code::DeviceError, "launch refused"); }};
  EXPECT_EQ(GraphTimer(*stream, 50).estimate(failing).status().message(), "launch refused");
  fake.failing = "cuStreamSynchronize";
  fake.failure = 719;
  const Workload fine = {1, [](int) { return Status(); }};
  EXPECT_EQ(GraphTimer(*stream, 50).measure({fine}).status().code(), Code::DeviceError);
}

} // namespace
} // namespace gptqc::cli
