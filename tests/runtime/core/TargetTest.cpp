// The text form of Target both ways, and the hardware facts that schedules rely on.
#include "runtime/core/Target.h"

#include <random>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

constexpr int kCapabilities[] = {75, 80, 86, 89, 90, 100, 120};

TEST(Target, ParsesWhatItPrints) {
  constexpr uint64_t kSeed = 7;
  std::mt19937_64 random(kSeed);
  const std::string alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-_";
  for (int i = 0; i < 10000; ++i) {
    Target target;
    target.capability = kCapabilities[random() % std::size(kCapabilities)];
    target.archSpecific = target.capability >= 90 && (random() & 1);
    for (size_t length = random() % 12; length > 0; --length)
      target.name += alphabet[random() % alphabet.size()];
    // A name that reads as an SM count cannot be written without one.
    if (target.name.starts_with("sms"))
      target.name = "x" + target.name;
    target.smCount = random() & 1 ? int(random() % 4096 + 1) : 0;
    const std::string text = target.print();
    SCOPED_TRACE(fmt::format("seed {}, case {}: {}", kSeed, i, text));
    const Result<Target> parsed = Target::parse(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    ASSERT_EQ(*parsed, target);
    ASSERT_EQ(parsed->print(), text);
  }
}

TEST(Target, PrintsTheDocumentedForms) {
  for (const char *form : {"sm_75", "sm_90a h200 sms132", "sm_80 sms108", "sm_120a rtx-5090"}) {
    const Result<Target> parsed = Target::parse(form);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    EXPECT_EQ(parsed->print(), form);
  }
  EXPECT_EQ(Target::parse("sm_90a h200 sms132")->arch(), "sm_90a");
}

TEST(Target, RefusesBadTextWithReasonAndRemedy) {
  const struct {
    const char *text, *reason;
  } cases[] = {
      {"", "it is empty"},
      {"90a", "unknown architecture"},
      {"sm_", "unknown architecture"},
      {"sm_9", "unknown architecture"},
      {"sm_9000000000000", "unknown architecture"},
      {"sm_-90", "unknown architecture"},
      {"sm_90b", "unknown architecture"},
      {"SM_90", "unknown architecture"},
      {"sm_80a", "only sm_90 and later have an 'a' variant"},
      {"sm_90 H200", "a name is lower-case letters"},
      {"sm_90 sms0", "expected sms<count>, 1 to 4096"},
      {"sm_90 h200 sms", "expected sms<count>"},
      {"sm_90 h200 sms4097", "expected sms<count>, 1 to 4096"},
      {"sm_90 sms132 h200", "too many words"},
      {"sm_90 h200 sms132 sms132", "too many words"},
  };
  for (const auto &bad : cases) {
    const Result<Target> parsed = Target::parse(bad.text);
    ASSERT_FALSE(parsed.ok()) << bad.text;
    EXPECT_EQ(parsed.status().code(), Code::InvalidArgument);
    EXPECT_NE(parsed.status().message().find(bad.reason), std::string::npos)
        << bad.text << "\n  says: " << parsed.status().message();
    EXPECT_NE(parsed.status().message().find("(write: sm_<"), std::string::npos);
  }
}

TEST(Target, ParsesLists) {
  const Result<std::vector<Target>> targets = Target::parseList("sm_80, sm_90a h200 sms132,sm_75");
  ASSERT_TRUE(targets.ok()) << targets.status().message();
  ASSERT_EQ(targets->size(), 3u);
  EXPECT_EQ((*targets)[1].print(), "sm_90a h200 sms132");
  EXPECT_EQ((*targets)[2].print(), "sm_75");
  for (const char *bad : {"", "sm_80,", ",sm_80", "sm_80,,sm_75", "sm_80;sm_75"})
    EXPECT_FALSE(Target::parseList(bad).ok()) << bad;
}

TEST(Target, HardwareFacts) {
  // Shared memory per block in KB: CUDA C++ Programming Guide, compute capabilities.
  const int sharedKb[] = {64, 163, 99, 99, 227, 227, 99};
  for (size_t i = 0; i < std::size(kCapabilities); ++i) {
    Target target;
    target.capability = kCapabilities[i];
    EXPECT_EQ(target.maxSharedMemory(), sharedKb[i] * 1024) << target.capability;
    EXPECT_EQ(target.hasCpAsync(), target.capability != 75);
    EXPECT_EQ(target.hasBf16Mma(), target.capability != 75);
    EXPECT_GT(target.plannedSmCount(), 0);
    target.smCount = 17;
    EXPECT_EQ(target.plannedSmCount(), 17);
  }
}

} // namespace
} // namespace gptqc
