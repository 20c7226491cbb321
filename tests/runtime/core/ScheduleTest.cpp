// The text form of Schedule both ways.
#include "runtime/core/Schedule.h"

#include <random>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TEST(Schedule, ParsesWhatItPrints) {
  constexpr uint64_t kSeed = 11;
  std::mt19937_64 random(kSeed);
  const auto between = [&](int lo, int hi) {
    return std::uniform_int_distribution<int>(lo, hi)(random);
  };
  for (int i = 0; i < 20000; ++i) {
    Schedule schedule;
    schedule.family = Family(between(0, 3));
    schedule.tileN = between(1, 65535);
    schedule.tileM = between(1, 512);
    schedule.tileK = between(1, 1024);
    schedule.mWarps = between(1, 8);
    schedule.kWarps = between(1, 8);
    schedule.warps = schedule.mWarps * schedule.kWarps * between(1, 8);
    schedule.stages = between(1, 16);
    schedule.splitK = random() & 1 ? 1 : between(2, 128);
    schedule.xVector = random() & 1 ? 16 : 2;
    schedule.unroll = random() & 1 ? 1 : 2;
    const std::string text = schedule.print();
    SCOPED_TRACE(fmt::format("seed {}, case {}: {}", kSeed, i, text));
    const Result<Schedule> parsed = Schedule::parse(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    ASSERT_EQ(*parsed, schedule);
    ASSERT_EQ(parsed->print(), text);
  }
}

TEST(Schedule, PrintsTheDocumentedForms) {
  for (const char *form :
       {"simt t64x8x64 warps4 stages1", "wgmma t128x64x64 warps8 stages4 splitk2",
        "wgmma t128x256x128 warps8 stages6 multicast2",
        "mma t64x16x128 warps4 kwarps4 stages4 splitk2",
        "gemv t32x4x256 warps8 mwarps2 kwarps2 stages2 xvec2"}) {
    const Result<Schedule> parsed = Schedule::parse(form);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    EXPECT_EQ(parsed->print(), form);
  }
}

TEST(Schedule, DerivedSizes) {
  const Result<Schedule> parsed = Schedule::parse("mma t64x16x128 warps8 mwarps2 kwarps2 stages3");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->nWarps(), 2);
  EXPECT_EQ(parsed->threads(), 256);
}

TEST(Schedule, RefusesBadTextWithReasonAndRemedy) {
  const struct {
    const char *text, *reason;
  } cases[] = {
      {"", "it is empty"},
      {"tensor t64x16x64 warps4 stages1", "unknown family 'tensor'"},
      {"mma", "the second word is the tile, e.g. t64x16x128"},
      {"mma 64x16x64 warps4 stages1", "the second word is the tile"},
      {"mma t64x16 warps4 stages1", "the second word is the tile"},
      {"mma t64x16x64x4 warps4 stages1", "the second word is the tile"},
      {"mma t64x0x64 warps4 stages1", "the second word is the tile"},
      {"mma t64x16x65536 warps4 stages1", "the second word is the tile"},
      {"mma t64x16x64 stages1", "expected warps<number>"},
      {"mma t64x16x64 warps0 stages1", "expected warps<number>"},
      {"mma t64x16x64 warps4", "expected stages<number>"},
      {"mma t64x16x64 warps4 stages1 kwarps2", "unexpected 'kwarps2'"},
      {"mma t64x16x64 warps4 stages1 splitk2 splitk2", "unexpected 'splitk2'"},
      {"mma t64x16x64 warps4 stages1 splitk-2", "expected splitk<number>"},
      {"mma t64x16x64 warps4 kwarps3 stages1", "warps must be a multiple of mwarps x kwarps"},
      {"mma t64x16x64 warps4 mwarps65535 kwarps65535 stages1", "warps must be a multiple of"},
      {"mma t64x16x64 warps4 mwarps65536 stages1", "expected mwarps<number>"},
      {"mma t64x16x64 warps4 stages1 xvec8", "xvec is 16"},
  };
  for (const auto &bad : cases) {
    const Result<Schedule> parsed = Schedule::parse(bad.text);
    ASSERT_FALSE(parsed.ok()) << bad.text;
    EXPECT_EQ(parsed.status().code(), Code::InvalidArgument);
    EXPECT_NE(parsed.status().message().find(bad.reason), std::string::npos)
        << bad.text << "\n  says: " << parsed.status().message();
    EXPECT_NE(parsed.status().message().find("(write: simt|mma|wgmma|gemv"), std::string::npos);
  }
}

} // namespace
} // namespace gptqc
