// Tuning records: one spelling, strict reading, torn files, order-free merging, killed writers.
#include "autotune/records/Records.h"

#include <csignal>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/core/Version.h"
#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

using fixtures::readText;
using fixtures::TempFolder;
using fixtures::writeText;

const char *const kLine = "w4 g128 sym f16->f16 n4096 k4096 m1..1 | sm_90a h200 sms132 | mma "
                          "t64x8x256 warps4 kwarps4 stages3 | us=5.31 spread=0.012 method=cold15 "
                          "build=0.1.0-34457ef";

TuningRecord record(double time, const char *schedule = "mma t64x8x256 warps4 kwarps4 stages3",
                    const char *target = "sm_90a h200 sms132") {
  TuningRecord r = *TuningRecord::parse(kLine);
  r.microseconds = time;
  r.schedule = *Schedule::parse(schedule);
  r.target = *Target::parse(target);
  return r;
}

Records recordsOf(const std::vector<TuningRecord> &list) {
  std::string text;
  for (const TuningRecord &r : list)
    text += r.print() + "\n";
  return *Records::parse(text, "test");
}

TEST(RecordsTest, TheBuildIsAWord) {
  TuningRecord r = record(5);
  r.build = versionBuildId();
  EXPECT_TRUE(TuningRecord::parse(r.print()).ok()) << r.print();
}

TEST(RecordsTest, OneSpelling) {
  const auto parsed = TuningRecord::parse(kLine);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->print(), kLine);
  for (const double time : {1.0 / 3, 1e-3, 12345678.9, 5e20}) {
    const TuningRecord r = record(time);
    EXPECT_EQ(*TuningRecord::parse(r.print()), r) << r.print();
  }
}

TEST(RecordsTest, ThoseThatShip) {
  const std::string path = GPTQC_SOURCE_DIR "/autotune/records/h200.txt", text = readText(path);
  const auto records = Records::parse(text, path);
  ASSERT_TRUE(records.ok()) << records.status().message();
  EXPECT_EQ(records->print(), text) << "sorted, one best record a point";
}

TEST(RecordsTest, StrictReading) {
  const std::string line = kLine, head = line.substr(0, line.rfind('|') + 1);
  for (const auto &[text, says] : std::vector<std::pair<std::string, std::string>>{
           {line + " colour=red", "unexpected 'colour=red'"},
           {head + " us=5 spread=0 method=a", "build is missing"},
           {head + " spread=0 us=5 method=a build=b", "unexpected 'spread=0'"},
           {head + " us=0 spread=0 method=a build=b", "no positive time"},
           {head + " us=nan spread=0 method=a build=b", "no positive time"},
           {head + " us=5x spread=0 method=a build=b", "no positive time"},
           {head + " us=5 spread=-1 method=a build=b", "no ratio"},
           {head + " us=5 spread=0 method= build=b", "must be printable words"},
           {head + " us=5 spread=0 method=a\x01 build=b", "must be printable words"},
           {head + " us=\x1b spread=0 method=a build=b", "us=\\x1b is no positive time"},
           {line + " | more", "four fields"},
           {"w9" + line.substr(2), "bits must be 2 to 8"}}) {
    const auto parsed = TuningRecord::parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.status().message().find(says), std::string::npos) << parsed.status().message();
  }
  const auto file = Records::parse("# a comment\n\n" + line + "\nnonsense\n", "file.txt");
  EXPECT_NE(file.status().message().find("file.txt:4: "), std::string::npos);
}

TEST(RecordsTest, ATornTailIsLeftOut) {
  const std::string line = kLine;
  const auto torn = Records::parse(line + "\n" + line.substr(0, 40), "file");
  ASSERT_TRUE(torn.ok()) << torn.status().message();
  EXPECT_EQ(torn->all().size(), 1u);
  EXPECT_TRUE(torn->torn());
  EXPECT_FALSE(Records::parse(line + "\n", "file")->torn());
}

TEST(RecordsTest, MergeIsAUnion) {
  const Records a = recordsOf({record(5), record(4)}), b = recordsOf({record(4), record(3)});
  const Records ab = Records::merge({a, b}), ba = Records::merge({b, a});
  EXPECT_EQ(ab.print(), ba.print());
  EXPECT_EQ(ab.all().size(), 3u);
  EXPECT_EQ(Records::merge({ab, ab}).print(), ab.print());
}

TEST(RecordsTest, BestIsTheFastestOfTheNearestTarget) {
  const char *const other = "simt t128x4x16 warps4 stages1";
  const Records records = recordsOf(
      {record(5), record(2, other, "sm_90a h100 sms132"), record(9, other), record(4, other)});
  const Descriptor d = record(1).descriptor;
  const TuningRecord *best = records.best(d, *Target::parse("sm_90a h200 sms132"));
  ASSERT_TRUE(best);
  EXPECT_EQ(best->microseconds, 4) << "the last measurement of a schedule counts";
  EXPECT_EQ(records.best(d, *Target::parse("sm_90a"))->microseconds, 2);
  EXPECT_EQ(records.best(d, *Target::parse("sm_80")), nullptr);
  Descriptor more = d;
  more.m = {2, 2};
  EXPECT_EQ(records.best(more, *Target::parse("sm_90a h200 sms132")), nullptr);
}

TEST(RecordsTest, NearestCarriesASchedule) {
  TuningRecord near = record(3), far = record(1, "mma t64x8x128 warps4 kwarps4 stages3");
  near.descriptor = *Descriptor::parse("w4 g128 sym f16->f16 n6144 k4096 m1..1");
  far.descriptor = *Descriptor::parse("w4 g128 sym f16->f16 n8192 k8192 m1..1");
  const Records records = recordsOf({near, far});
  const Target gpu = *Target::parse("sm_90a h200 sms132");
  const auto usable = [](const TuningRecord &) { return true; };
  const auto nearest = [&](const char *descriptor) {
    return records.nearest(*Descriptor::parse(descriptor), gpu, usable);
  };
  ASSERT_NE(nearest("w4 g64 sym f16->f16 n5120 k4096 m1..1"), nullptr);
  EXPECT_EQ(nearest("w4 g64 sym f16->f16 n5120 k4096 m1..1")->schedule, near.schedule);
  EXPECT_EQ(nearest("w4 g128 asym bf16->bf16 n8192 k7168 m1..1")->schedule, far.schedule);
  EXPECT_EQ(nearest("w4 g128 sym f16->f16 n4096 k4096 m9..16"), nullptr) << "other M";
  EXPECT_EQ(nearest("w4 g128 sym actorder f16->f16 n6144 k4096 m1..1")->schedule, near.schedule);
  EXPECT_EQ(nearest("w4 g96 sym actorder ragged f16->f16 n6144 k4096 m1..1"), nullptr);
  EXPECT_EQ(nearest("w4 g128 sym f16->f16 n64 k128 m1..1"), nullptr) << "too small to compare";
  EXPECT_EQ(nearest("w4 g128 sym f16->f16 n4096 k4096 experts8 m1..1"), nullptr);
  const Descriptor wanted = *Descriptor::parse("w4 g128 sym f16->f16 n6144 k4096 m1..1");
  EXPECT_EQ(records.nearest(wanted, *Target::parse("sm_80"), usable), nullptr);
  EXPECT_EQ(
      records
          .nearest(wanted, gpu, [&](const TuningRecord &r) { return r.schedule == far.schedule; })
          ->descriptor,
      far.descriptor);
}

TEST(RecordsTest, AppendRepairsATornLine) {
  const TempFolder folder;
  const auto path = folder / "records.txt";
  ASSERT_TRUE(appendRecords(path, {record(1), record(2)}).ok());
  const std::string whole = readText(path);
  const std::string line = record(3).print() + "\n";
  for (const size_t length : {size_t(1), size_t(2), size_t(20), line.size() / 2}) {
    writeText(path, whole + line.substr(0, length));
    EXPECT_TRUE(Records::load(path)->torn()) << length;
    ASSERT_TRUE(appendRecords(path, {record(3)}).ok());
    EXPECT_EQ(readText(path), whole + line) << length;
  }
  writeText(path, line.substr(0, 40));
  ASSERT_TRUE(appendRecords(path, {record(1)}).ok());
  EXPECT_EQ(readText(path), record(1).print() + "\n");
  EXPECT_EQ(appendRecords(folder / "no" / "folder", {record(1)}).code(), Code::IoError);
}

TEST(RecordsTest, AppendKeepsALastLineWithoutItsNewline) {
  const TempFolder folder;
  const auto path = folder / "records.txt";
  for (const std::string &last : {record(1).print(), std::string("# tuned by hand")}) {
    writeText(path, record(2).print() + "\n" + last);
    EXPECT_FALSE(Records::load(path)->torn());
    ASSERT_TRUE(appendRecords(path, {}).ok());
    EXPECT_EQ(readText(path), record(2).print() + "\n" + last);
    ASSERT_TRUE(appendRecords(path, {record(3)}).ok());
    EXPECT_EQ(readText(path), record(2).print() + "\n" + last + "\n" + record(3).print() + "\n");
  }
}

TEST(RecordsTest, FilesOfOthersStayAsTheyAre) {
  const TempFolder folder;
  const auto path = folder / "precious.json";
  for (const std::string &text : {std::string("{\"api_key\":\"precious\"}"), std::string(5000, 'x'),
                                  std::string("weights.bin"), record(1).print() + "\nnotes"}) {
    writeText(path, text);
    EXPECT_EQ(appendRecords(path, {record(1)}).code(), Code::DataCorrupt) << text;
    EXPECT_FALSE(appendRecords(path, {}).ok());
    EXPECT_FALSE(Records::load(path).ok());
    EXPECT_EQ(readText(path), text);
  }
}

TEST(RecordsTest, KilledWritersLoseNothingThatWasWritten) {
  const TempFolder folder;
  const auto path = folder / "records.txt";
  int64_t before = 0;
  for (int round = 0; round < 50; ++round) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0)
      for (int i = 1;; ++i)
        (void)appendRecords(path, {record(round * 1e6 + i)});
    usleep(useconds_t(500 + round * 137 % 3000));
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    if (before == 0 && !std::filesystem::exists(path))
      continue; // killed before it had the file
    const auto records = Records::load(path);
    ASSERT_TRUE(records.ok()) << records.status().message();
    EXPECT_GE(int64_t(records->all().size()), before);
    before = int64_t(records->all().size());
  }
  EXPECT_GT(before, 0);
}

} // namespace
} // namespace gptqc
