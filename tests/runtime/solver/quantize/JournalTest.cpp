// What is put is found again, only by the same run, and damage is as if it were not there.
#include "runtime/solver/quantize/Journal.h"

#include <gtest/gtest.h>

#include "runtime/core/SafeTensorsWriter.h"
#include "runtime/cpu/Synthetic.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using namespace gptqc::fixtures;

namespace {

QuantizedMatrix layer(const char *descriptor) {
  return *syntheticLayer(*Descriptor::parse(descriptor), 7);
}

const LayerRecord kRecord = {0.1, 0.01, 1.0 / 3, 1e-9, 2.5, 4096, "none"};

Status put(const Journal &journal, const char *module, const QuantizedMatrix &matrix,
           Packing packing = Packing::Continuous) {
  const Descriptor &d = matrix.descriptor;
  const std::vector<uint32_t> words = packRows(packing, d.bits, d.k, d.n, matrix.codes);
  return journal.put(module, matrix, bytesOf(words), packing, kRecord);
}

TEST(Journal, FindsWhatWasPut) {
  for (const char *text :
       {"w4 g32 sym f16->f16 n64 k128 m1..", "w3 g64 asym bf16->bf16 n32 k96 m1..",
        "w5 g32 asym actorder f16->f16 n32 k128 m1.."}) {
    SCOPED_TRACE(text);
    const TempFolder temp;
    const QuantizedMatrix matrix = layer(text);
    const Packing packing = matrix.descriptor.bits == 5 ? Packing::Planar : Packing::Continuous;
    {
      const auto journal = Journal::open(temp / "j", "run", false);
      ASSERT_TRUE(journal.ok());
      EXPECT_FALSE(journal->find("a.b"));
      ASSERT_TRUE(put(*journal, "a.b", matrix, packing).ok());
    }
    const auto journal = Journal::open(temp / "j", "run", true);
    ASSERT_TRUE(journal.ok());
    const auto entry = journal->find("a.b");
    ASSERT_TRUE(entry);
    const QuantizedMatrix back = entry->matrix();
    EXPECT_EQ(back.descriptor.print(), matrix.descriptor.print());
    EXPECT_EQ(back.codes, matrix.codes);
    EXPECT_EQ(back.zeros, matrix.zeros);
    EXPECT_EQ(back.scales, matrix.scales);
    EXPECT_EQ(back.groupIndex, matrix.groupIndex);
    EXPECT_EQ(entry->packing, packing);
    EXPECT_EQ(entry->record.loss, kRecord.loss);
    EXPECT_EQ(entry->record.errorBefore, kRecord.errorBefore);
    EXPECT_EQ(entry->record.tokens, kRecord.tokens);
    EXPECT_EQ(entry->record.recovery, "none");
  }
}

TEST(Journal, BelongsToOneRun) {
  const TempFolder temp;
  const QuantizedMatrix matrix = layer("w4 g32 sym f16->f16 n32 k32 m1..");
  ASSERT_TRUE(put(*Journal::open(temp / "j", "one", false), "a", matrix).ok());
  const auto other = Journal::open(temp / "j", "two", true);
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.status().message().find("another model"), std::string::npos);
  EXPECT_TRUE(Journal::open(temp / "j", "one", true)->find("a"));
  {
    const auto holder = Journal::open(temp / "j", "one", true);
    EXPECT_NE(Journal::open(temp / "j", "one", true).status().message().find("in use"),
              std::string::npos);
  }
  EXPECT_NE(Journal::open(temp / "j", "one", false)
                .status()
                .message()
                .find("holds 1 finished layers of the same run; go on with --resume"),
            std::string::npos);
  EXPECT_TRUE(Journal::open(temp / "j", "one", true)->find("a")) << "nothing is lost";
  EXPECT_FALSE(Journal::open(temp / "j", "two", false)->find("a")) << "starting over";
}

TEST(Journal, DamageIsAbsence) {
  const TempFolder temp;
  const auto journal = Journal::open(temp / "j", "run", false);
  ASSERT_TRUE(put(*journal, "a", layer("w4 g32 sym f16->f16 n32 k32 m1..")).ok());
  const auto path = temp / "j/a.safetensors";
  const std::string whole = readText(path);
  writeText(path, whole.substr(0, whole.size() - 1));
  EXPECT_FALSE(journal->find("a"));
  writeText(path, "");
  EXPECT_FALSE(journal->find("a"));
  const size_t data = 8 + size_t(uint8_t(whole[0])) + 256 * size_t(uint8_t(whole[1]));
  for (size_t at = data; at < whole.size(); at += 13) { // the tensors, bit for bit
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ (1 << at % 8));
    writeText(path, damaged);
    EXPECT_FALSE(journal->find("a")) << at;
  }
  writeText(path, whole);
  EXPECT_TRUE(journal->find("a"));
}

} // namespace
