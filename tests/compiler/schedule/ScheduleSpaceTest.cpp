// Legality: each rule refuses with a reason and a remedy, and what enumerate offers is legal.
#include "compiler/schedule/ScheduleSpace.h"

#include <gtest/gtest.h>

namespace gptqc {
namespace {

struct Refusal {
  const char *descriptor, *target, *schedule;
  const char *reason; ///< part of the message; empty: legal
};

class ScheduleSpaceCheck : public testing::TestWithParam<Refusal> {};

TEST_P(ScheduleSpaceCheck, NamesReasonAndRemedy) {
  const Refusal &c = GetParam();
  Result<Descriptor> d = Descriptor::parse(c.descriptor);
  Result<Target> t = Target::parse(c.target);
  Result<Schedule> s = Schedule::parse(c.schedule);
  ASSERT_TRUE(d.ok()) << d.status().message();
  ASSERT_TRUE(t.ok()) << t.status().message();
  ASSERT_TRUE(s.ok()) << s.status().message();
  const Status status = ScheduleSpace::check(*d, *t, *s);
  if (!*c.reason) {
    EXPECT_TRUE(status.ok()) << status.message();
    return;
  }
  ASSERT_FALSE(status.ok()) << c.schedule;
  EXPECT_EQ(status.code(), Code::Unsupported);
  EXPECT_NE(status.message().find(c.reason), std::string::npos) << status.message();
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
}

constexpr const char *kPlain = "w4 g128 sym f16->f16 n4096 k4096 m9..16";
constexpr const char *kGood = "mma t64x16x128 warps4 kwarps2 stages4";

INSTANTIATE_TEST_SUITE_P(
    Rules, ScheduleSpaceCheck,
    testing::Values(
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 experts8 m9..16", "sm_90a", kGood, ""},
        Refusal{"w4 g128 sym actorder f16->f16 n4096 k4096 experts8 m9..16", "sm_90a", kGood,
                "each expert has its own order"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 experts8 m1..1", "sm_90a",
                "gemv t16x8x256 warps8 kwarps8 stages4", "blocks of gemv keep to one expert"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 experts8 m65..128", "sm_90a",
                "wgmma t128x64x128 warps8 stages8", "blocks of wgmma keep to one expert"},
        Refusal{kPlain, "sm_90a", kGood, ""}, //
        Refusal{kPlain, "sm_75", kGood, "use stages1"},
        Refusal{kPlain, "sm_75", "mma t64x16x128 warps4 kwarps2 stages1", ""},
        Refusal{kPlain, "sm_80", "mma t64x16x128 warps4 kwarps2 stages1", ""},
        Refusal{"w4 g128 sym bf16->bf16 n4096 k4096 m1..1", "sm_75", "mma t64x8x128 warps4 stages1",
                "use the simt family"},
        Refusal{kPlain, "sm_90a", "wgmma t64x16x128 warps4 stages4", ""},
        Refusal{kPlain, "sm_90a", "wgmma t128x256x128 warps8 stages6 multicast2", ""},
        Refusal{kPlain, "sm_90", "wgmma t64x16x128 warps4 stages4", "needs sm_90a"},
        Refusal{kPlain, "sm_80", "wgmma t64x16x128 warps4 stages4", "needs sm_90a"},
        Refusal{kPlain, "sm_90a", "wgmma t64x16x128 warps6 stages4", "4, 8, 12 or 16 warps"},
        Refusal{kPlain, "sm_90a", "wgmma t64x16x128 warps8 stages4", "a multiple of 128"},
        Refusal{kPlain, "sm_90a", "wgmma t64x72x128 warps4 stages4", "of 32 up to 256"},
        Refusal{kPlain, "sm_90a", "wgmma t64x16x64 warps4 stages4", "a multiple of 128"},
        Refusal{kPlain, "sm_90a", "wgmma t64x16x256 warps8 kwarps2 stages6", "whole k tiles"},
        Refusal{kPlain, "sm_90a", "wgmma t64x24x128 warps4 stages4 multicast2", "multiples of 8"},
        Refusal{kPlain, "sm_90a", "wgmma t64x16x128 warps4 stages4 splitk9", "8 at most"},
        Refusal{kPlain, "sm_90a", "wgmma t128x256x128 warps8 stages8", "left for weights"},
        Refusal{kPlain, "sm_90a", "wgmma t256x256x128 warps8 stages4", "registers"},
        Refusal{"w4 g128 sym actorder f16->f16 n4096 k4096 m64..64", "sm_90a",
                "wgmma t64x16x128 warps4 stages4", ""},
        Refusal{"w4 g128 sym actorder f16->f16 n4096 k4096 m64..64", "sm_90a",
                "wgmma t64x16x128 warps4 stages4 xvec2", "whole 16 bytes"},
        Refusal{"w2 g128 sym f16->f16 n4096 k4096 m1..1", "sm_90a",
                "gemv t32x8x256 warps16 kwarps16 stages3 unroll2", ""},
        Refusal{"w2 g128 sym f16->f16 n4096 k4096 m1..1", "sm_90a",
                "gemv t32x8x128 warps16 kwarps16 stages3 unroll2", "1 chunks"},
        Refusal{kPlain, "sm_90a", "mma t64x16x128 warps4 stages4 unroll2", "to unroll"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4100 m64..64", "sm_90a",
                "wgmma t64x16x128 warps4 stages4", "whole 16 bytes"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 m64..64 batch_invariant", "sm_90a",
                "wgmma t64x16x128 warps4 stages4", "batch_invariant"},
        Refusal{kPlain, "sm_90a", "gemv t32x16x128 warps8 kwarps8 stages3", ""},
        Refusal{kPlain, "sm_90a", "gemv t32x16x128 warps8 kwarps8 stages3 splitk2", ""},
        Refusal{kPlain, "sm_80", "gemv t32x16x128 warps8 kwarps8 stages3 splitk2", "splitk1"},
        Refusal{kPlain, "sm_90a", "gemv t32x16x128 warps8 kwarps8 stages3 splitk3", "2, 4 or 8"},
        Refusal{kPlain, "sm_75", "gemv t32x16x128 warps8 kwarps8 stages3", "no cp.async"},
        Refusal{kPlain, "sm_90a", "gemv t32x16x128 warps8 mwarps2 kwarps4 stages3", "rows and k"},
        Refusal{kPlain, "sm_90a", "gemv t128x16x128 warps8 kwarps2 stages6 splitk4", ""},
        Refusal{kPlain, "sm_90a", "gemv t288x16x128 warps9 stages6 splitk4", ""},
        Refusal{kPlain, "sm_80", "gemv t128x16x128 warps8 kwarps2 stages3", "the same kwarps"},
        Refusal{kPlain, "sm_90a", "gemv t384x16x128 warps8 stages3", "128, 256 or 512"},
        Refusal{kPlain, "sm_90a", "gemv t128x16x512 warps8 kwarps4 stages2 splitk4", "parts of k"},
        Refusal{"w2 g128 sym f16->f16 n4096 k4096 m9..16", "sm_90a",
                "gemv t128x16x256 warps8 kwarps2 stages3 splitk4 unroll2", "leave unroll out"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 m17..32", "sm_90a",
                "gemv t512x32x128 warps8 stages2", "shared memory"},
        Refusal{kPlain, "sm_90a", "gemv t32x16x128 warps8 kwarps8 stages1", "2 to 8 stages"},
        Refusal{kPlain, "sm_90a", "gemv t48x16x128 warps8 kwarps8 stages3", "16, 32 or 64"},
        Refusal{kPlain, "sm_90a", "gemv t32x40x128 warps8 kwarps8 stages3", "32 at most"},
        Refusal{kPlain, "sm_90a", "gemv t32x16x96 warps8 kwarps8 stages3", "multiple of 64"},
        Refusal{kPlain, "sm_90a", "gemv t32x16x768 warps8 kwarps8 stages3", "divides 4096"},
        Refusal{"w4 g128 sym f16->f16 n4096 k16384 m9..16", "sm_90a",
                "gemv t32x16x128 warps8 kwarps8 stages3", "shared memory"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 m1..1 silu_mul", "sm_90a",
                "gemv t16x8x128 warps8 kwarps8 stages3", "32, 64 or 128"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 m1..1 batch_invariant", "sm_90a",
                "gemv t32x8x128 warps8 kwarps8 stages3", "use the mma family"},
        Refusal{kPlain, "sm_90a", "mma t64x12x128 warps4 stages4", "multiple of 8"},
        Refusal{kPlain, "sm_90a", "mma t96x16x128 warps4 stages4", "multiple of 64"},
        Refusal{kPlain, "sm_90a", "mma t64x16x32 warps4 stages4", "multiple of 64"},
        Refusal{"w3 g128 sym f16->f16 n4096 k4096 m1..1", "sm_90a", "mma t64x8x128 warps4 stages4",
                "multiple of 256"},
        Refusal{kPlain, "sm_90a", "mma t256x128x64 warps4 stages2", "registers"},
        Refusal{kPlain, "sm_86", "mma t256x32x256 warps8 stages4", "shared memory"},
        Refusal{kPlain, "sm_90a", "mma t64x16x128 warps4 stages4 splitk64", "use splitk32"},
        Refusal{kPlain, "sm_90a", "mma t64x16x128 warps4 stages9", "use stages8"},
        Refusal{kPlain, "sm_90a", "mma t512x16x128 warps32 stages2", "warps must be"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4100 m1..1", "sm_90a", "mma t64x8x128 warps4 stages4",
                "use xvec2"},
        Refusal{"w4 g128 sym actorder f16->f16 n4096 k4096 m1..1", "sm_90a",
                "mma t64x8x128 warps4 stages4", ""},
        Refusal{"w4 g24 sym f16->f16 n64 k96 m1..1", "sm_90a", "mma t64x8x64 warps4 stages4", ""},
        Refusal{"w4 g-1 sym f16->f16 n64 k24 m1..1", "sm_90a", "mma t64x8x64 warps4 stages4", ""},
        Refusal{"w4 g128 sym actorder f16->f16 n4096 k4096 m1..1", "sm_90a",
                "mma t64x8x128 warps4 stages4 xvec2", ""},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 m1..1 batch_invariant", "sm_90a",
                "mma t64x8x128 warps4 kwarps2 stages4", "batch_invariant"},
        Refusal{"w4 g128 sym f16->f16 n4096 k4096 m1..1 silu_mul", "sm_90a",
                "mma t16x8x128 warps1 stages4", "half of them gate"},
        Refusal{kPlain, "sm_90a", "simt t128x4x16 warps4 stages1", ""},
        Refusal{kPlain, "sm_90a", "simt t64x4x16 warps4 stages1", "<threads>"},
        Refusal{kPlain, "sm_90a", "simt t128x4x16 warps4 stages2", "no pipeline"}));

TEST(ScheduleSpace, EnumerateOffersOnlyLegalSchedulesAndAlwaysSimt) {
  for (const char *target : {"sm_75", "sm_80", "sm_86", "sm_90a", "sm_120"})
    for (int bits = 2; bits <= 8; ++bits)
      for (const char *rest :
           {"g128 sym f16->f16 n4096 k4096 m1..1", "g32 asym f16->f16 n48 k40 m9..16",
            "g64 sym actorder bf16->bf16 n4304 k11008 m65..128"}) {
        const Descriptor d = *Descriptor::parse(fmt::format("w{} {}", bits, rest));
        const Target t = *Target::parse(target);
        const std::vector<Schedule> all = ScheduleSpace::enumerate(d, t);
        ASSERT_FALSE(all.empty());
        EXPECT_EQ(all.back().family, Family::Simt);
        for (const Schedule &s : all)
          ASSERT_TRUE(ScheduleSpace::check(d, t, s).ok()) << d.print() << " | " << s.print();
      }
}

TEST(ScheduleSpace, SplittingNeedsNoSharedMemoryOfItsOwn) {
  const auto needed = [](const char *schedule) {
    const std::string message =
        ScheduleSpace::check(*Descriptor::parse(kPlain), *Target::parse("sm_90a"),
                             *Schedule::parse(schedule))
            .message();
    const size_t at = message.find("needs ");
    EXPECT_NE(at, std::string::npos) << message;
    return message.substr(std::min(at, message.size()));
  };
  EXPECT_EQ(needed("mma t256x16x256 warps4 stages8 splitk2"),
            needed("mma t256x16x256 warps4 stages8"));
}

TEST(ScheduleSpace, MmaExistsWhereTheHardwareHasIt) {
  for (int bits = 2; bits <= 8; ++bits) {
    const Descriptor f16 =
        *Descriptor::parse(fmt::format("w{} g128 sym f16->f16 n64 k256 m1..1", bits));
    EXPECT_GT(ScheduleSpace::enumerate(f16, *Target::parse("sm_75")).size(), 1u) << bits;
    const Descriptor bf16 =
        *Descriptor::parse(fmt::format("w{} g128 sym bf16->bf16 n64 k256 m1..1", bits));
    EXPECT_EQ(ScheduleSpace::enumerate(bf16, *Target::parse("sm_75")).size(), 1u) << bits;
  }
}

} // namespace
} // namespace gptqc
