// Log: topics select events, warnings always come, every event is one line.
#include "runtime/core/Log.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TEST(Log, TopicsSelectEvents) {
  std::vector<std::string> lines;
  const auto log =
      Log::create("cache,tune", [&](std::string_view line) { lines.emplace_back(line); });
  ASSERT_TRUE(log.ok());
  log->event(Topic::Cache, "hit {}", 1);
  log->event(Topic::Compile, "never");
  log->event(Topic::Tune, "two\nlines");
  log->warning("careful");
  EXPECT_EQ(lines, (std::vector<std::string>{"gptqc: cache: hit 1", "gptqc: tune: two lines",
                                             "gptqc: warning: careful"}));
}

TEST(Log, UnknownTopicIsNamed) {
  const auto log = Log::create("cache,nonsense");
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.status().code(), Code::InvalidArgument);
  EXPECT_NE(log.status().message().find("'nonsense'"), std::string::npos);
}

TEST(Log, EmptyMeansWarningsOnly) {
  const auto log = Log::create("");
  ASSERT_TRUE(log.ok());
  for (const Topic topic : {Topic::Dispatch, Topic::Compile, Topic::Cache, Topic::Tune})
    EXPECT_FALSE(log->enabled(topic));
}

} // namespace
} // namespace gptqc
