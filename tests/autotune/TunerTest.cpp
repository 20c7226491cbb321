// The tuner against a pretended GPU: who wins, who is dropped, what is refused, what ends a run.
#include "autotune/Tuner.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "autotune/Candidates.h"
#include "compiler/schedule/CostModel.h"

namespace gptqc {
namespace {

const Target kTarget = *Target::parse("sm_90a h200 sms132");

Descriptor point(const char *text) { return Descriptor::parse(text)->canonical(); }

const Descriptor kPoint = point("w4 g128 sym f16->f16 n4096 k4096 m1..1");

/// Times are a function of the schedule's text and the number of the sample.
class PretendedGpu : public Measurer {
public:
  std::function<double(const std::string &, int)> time = [](const std::string &, int) {
    return 5.0;
  };
  std::function<Status(const std::string &)> accepts = [](const std::string &) { return Status(); };
  std::vector<std::string> loaded;
  std::map<std::string, int> samples;
  std::vector<std::string> opened;

  const Target &target() const override { return kTarget; }
  std::string_view method() const override { return "cold"; }
  Status open(const Descriptor &descriptor) override {
    opened.push_back(descriptor.print());
    loaded.clear();
    return Status();
  }
  Result<int> add(const KernelImage &image) override {
    GPTQC_TRY(accepts(image.schedule));
    loaded.push_back(image.schedule);
    return int(loaded.size()) - 1;
  }
  Result<double> sample(int kernel) override {
    const std::string &schedule = loaded[size_t(kernel)];
    return time(schedule, samples[schedule]++);
  }
};

Result<KernelImage> compiled(const Descriptor &descriptor, const Schedule &schedule) {
  KernelImage image;
  image.descriptor = descriptor.print();
  image.schedule = schedule.print();
  return image;
}

TunerOptions optionsOf(int candidates) {
  TunerOptions options;
  options.candidates = candidates;
  options.build = "test";
  options.threads = 2;
  return options;
}

std::vector<TunedPoint> tune(Measurer &gpu, const std::vector<Descriptor> &points,
                             const TunerOptions &options, Tuner::Compile compile = compiled) {
  std::vector<TunedPoint> found;
  const Result<size_t> count =
      Tuner(gpu, std::move(compile), options).run(points, [&](const TunedPoint &tuned) {
        found.push_back(tuned);
        return Status();
      });
  EXPECT_TRUE(count.ok()) << count.status().message();
  EXPECT_EQ(*count, found.size());
  return found;
}

TEST(Candidates, TheModelsChoiceThenHintsThenFamilies) {
  const std::vector<Schedule> all = ScheduleSpace::enumerate(kPoint, kTarget);
  const Schedule choice = *CostModel::choose(kPoint, kTarget);
  const Schedule hint = *std::find_if(all.begin(), all.end(), [&](const Schedule &s) {
    return s.family == Family::Mma && !(s == choice);
  });
  Schedule illegal = hint;
  illegal.tileN = 48;
  const std::vector<Schedule> three = tuningCandidates(kPoint, kTarget, {illegal, hint, hint}, 3);
  ASSERT_EQ(three.size(), 3u);
  EXPECT_EQ(three[0], choice);
  EXPECT_EQ(three[1], hint);
  const std::vector<Schedule> most = tuningCandidates(kPoint, kTarget, {}, 1 << 20);
  EXPECT_EQ(most.size(), all.size());
  for (const Schedule &schedule : all)
    EXPECT_EQ(std::count(most.begin(), most.end(), schedule), 1) << schedule.print();
  for (const Schedule &schedule : most)
    EXPECT_TRUE(ScheduleSpace::check(kPoint, kTarget, schedule).ok());
}

TEST(Tuner, FindsTheFastestInSpiteOfNoise) {
  PretendedGpu gpu;
  const std::vector<Schedule> candidates = tuningCandidates(kPoint, kTarget, {}, 8);
  const std::string fastest = candidates[5].print(), second = candidates[2].print();
  gpu.time = [&](const std::string &schedule, int sample) {
    const double noise = sample % 5 == 4 ? 3.0 : 0.01 * (sample % 3); // now and then a long one
    return (schedule == fastest ? 4.0 : schedule == second ? 4.08 : 9.0) + noise;
  };
  const std::vector<TunedPoint> found = tune(gpu, {kPoint}, optionsOf(8));
  ASSERT_EQ(found.size(), 1u);
  const TunedPoint &tuned = found[0];
  EXPECT_TRUE(tuned.error.ok()) << tuned.error.message();
  ASSERT_EQ(tuned.records.size(), 8u);
  const TuningRecord &best = tuned.records.front();
  EXPECT_EQ(best.schedule.print(), fastest);
  EXPECT_NEAR(best.microseconds, 4.01, 0.011);
  EXPECT_EQ(best.method, "cold15");
  EXPECT_EQ(best.build, "test");
  EXPECT_EQ(best.target, kTarget);
  EXPECT_EQ(best.descriptor, kPoint);
  EXPECT_EQ(tuned.records[1].schedule.print(), second)
      << "within a few percent: sampled to the end";
  EXPECT_EQ(gpu.samples[candidates[7].print()], 3) << "a slow one is dropped at once";
  EXPECT_EQ(tuned.defaultSchedule, candidates[0]);
  EXPECT_NEAR(tuned.gain(), 9.0 / 4.0, 0.02);
  for (const TuningRecord &record : tuned.records) // what is appended can be read
    EXPECT_EQ(*TuningRecord::parse(record.print()), record);
}

TEST(Tuner, RefusalsAreSlowOtherFailuresAreErrors) {
  PretendedGpu gpu;
  const std::vector<Schedule> candidates = tuningCandidates(kPoint, kTarget, {}, 4);
  gpu.accepts = [&](const std::string &schedule) {
    if (schedule == candidates[1].print())
      return Status(Code::Unsupported, "too many registers");
    return schedule == candidates[2].print() ? Status(Code::Internal, "wrong result") : Status();
  };
  const auto compile = [&](const Descriptor &d, const Schedule &s) -> Result<KernelImage> {
    if (s == candidates[0])
      return Status(Code::CompileFailed, "ptxas died");
    return compiled(d, s);
  };
  const TunedPoint tuned = tune(gpu, {kPoint}, optionsOf(4), compile).at(0);
  ASSERT_EQ(tuned.records.size(), 1u);
  EXPECT_EQ(tuned.records[0].schedule, candidates[3]);
  ASSERT_EQ(tuned.refused.size(), 3u);
  EXPECT_EQ(tuned.refused[0].reason, "ptxas died");
  EXPECT_EQ(tuned.error.code(), Code::Internal);
  EXPECT_NE(tuned.error.message().find(candidates[2].print() + ": wrong result"), std::string::npos)
      << tuned.error.message();
  EXPECT_EQ(tuned.gain(), 0) << "the default was not measured";

  gpu.accepts = [](const std::string &) { return Status(Code::Unsupported, "no room"); };
  const TunedPoint none = tune(gpu, {kPoint}, optionsOf(2)).at(0);
  EXPECT_TRUE(none.records.empty());
  EXPECT_NE(none.error.message().find("no schedule could be measured, the first: no room"),
            std::string::npos);
}

TEST(Tuner, ALostDeviceEndsTheRun) {
  PretendedGpu gpu;
  gpu.accepts = [&](const std::string &) {
    return gpu.opened.size() < 2 ? Status() : Status(Code::DeviceError, "illegal address");
  };
  const std::vector<Descriptor> points = {kPoint, point("w4 g128 sym f16->f16 n512 k512 m2..2"),
                                          point("w4 g128 sym f16->f16 n512 k512 m3..4")};
  size_t reported = 0;
  const Result<size_t> count = Tuner(gpu, compiled, optionsOf(2)).run(points, [&](const auto &) {
    ++reported;
    return Status();
  });
  EXPECT_EQ(count.status().code(), Code::DeviceError);
  EXPECT_EQ(reported, 1u);
  EXPECT_EQ(gpu.opened.size(), 2u);
}

TEST(Tuner, StopsWhenRecordsCannotBeKeptOrTheBudgetIsSpent) {
  PretendedGpu gpu;
  const std::vector<Descriptor> points(5, kPoint);
  const Result<size_t> full =
      Tuner(gpu, compiled, optionsOf(2)).run(points, [](const TunedPoint &) {
        return Status(Code::IoError, "disk full");
      });
  EXPECT_EQ(full.status().message(), "disk full");
  EXPECT_EQ(gpu.opened.size(), 1u);

  TunerOptions options = optionsOf(2);
  options.budgetSeconds = 1e-9;
  EXPECT_EQ(tune(gpu, points, options).size(), 1u);
  EXPECT_TRUE(tune(gpu, {}, options).empty());
}

TEST(Tuner, HintsAreMeasuredAndTheTimeOfAPointIsBounded) {
  PretendedGpu gpu;
  const std::vector<Schedule> all = ScheduleSpace::enumerate(kPoint, kTarget);
  TunerOptions options = optionsOf(2);
  options.secondsPerPoint = 0;
  options.hints = [&](const Descriptor &) { return std::vector<Schedule>{all.back()}; };
  const TunedPoint tuned = tune(gpu, {kPoint}, options).at(0);
  ASSERT_EQ(tuned.records.size(), 2u);
  for (const TuningRecord &record : tuned.records)
    EXPECT_EQ(record.method, "cold3");
  EXPECT_EQ(gpu.samples[all.back().print()], 3);
}

} // namespace
} // namespace gptqc
