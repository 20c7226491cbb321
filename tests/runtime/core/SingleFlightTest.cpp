// Values are made once, failures are told to everybody and tried again.
#include "runtime/core/SingleFlight.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TEST(SingleFlightTest, ThreadsShareOneMaking) {
  SingleFlight<int> flights;
  std::atomic<int> made = 0;
  std::vector<std::shared_ptr<const int>> values(8);
  {
    std::vector<std::jthread> threads;
    for (auto &value : values)
      threads.emplace_back([&] {
        value = *flights.get("a", [&]() -> Result<int> {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return ++made;
        });
      });
  }
  EXPECT_EQ(made, 1);
  for (const auto &value : values)
    EXPECT_EQ(value, values[0]);
  EXPECT_EQ(**flights.get("b", []() -> Result<int> { return 7; }), 7);
}

TEST(SingleFlightTest, FailuresAreTriedAgain) {
  SingleFlight<int> flights;
  const auto fail = []() -> Result<int> { return invalidArgument("no"); };
  EXPECT_EQ(flights.get("a", fail).status().message(), "no");
  EXPECT_EQ(flights.get("a", fail).status().message(), "no");
  EXPECT_EQ(**flights.get("a", []() -> Result<int> { return 3; }), 3);
  EXPECT_EQ(**flights.get("a", fail), 3);
}

TEST(SingleFlightTest, TheOldestValuesGo) {
  SingleFlight<int> flights(2);
  int made = 0;
  const auto make = [&]() -> Result<int> { return ++made; };
  for (const char *key : {"a", "b", "a", "c", "b"})
    (void)flights.get(key, make);
  EXPECT_EQ(made, 3);
  EXPECT_EQ(**flights.get("a", make), 4);
}

TEST(SingleFlightTest, AnExceptionReleasesThoseWhoWait) {
  SingleFlight<int> flights;
  const auto explode = []() -> Result<int> { throw std::bad_alloc(); };
  EXPECT_THROW((void)flights.get("a", explode), std::bad_alloc);
  EXPECT_EQ(**flights.get("a", []() -> Result<int> { return 1; }), 1);
}

} // namespace
} // namespace gptqc
