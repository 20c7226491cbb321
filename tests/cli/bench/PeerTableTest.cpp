// Tables of recorded peer times.
#include "cli/bench/PeerTable.h"

#include <gtest/gtest.h>

#include "runtime/core/AtomicFile.h"

using namespace gptqc;
using namespace gptqc::cli;

namespace {

TEST(PeerTable, FindsALayerAtOneTokenCount) {
  const auto table =
      PeerTable::parse("# head\n\n"
                       "w4 g128 sym f16->f16 n64 k256 m1..1   | one | 8.25 # note\r\n"
                       "w4 g128 sym f16->f16 n64 k256 m16..16 | two | 9\n",
                       "t");
  ASSERT_TRUE(table.ok()) << table.status().message();
  const Descriptor bucket = *Descriptor::parse("w4 g128 sym f16->f16 n64 k256 m9..16");
  ASSERT_TRUE(table->find(bucket, 16));
  EXPECT_EQ(table->find(bucket, 16)->peer, "two");
  EXPECT_EQ(table->find(bucket, 1)->microseconds, 8.25);
  EXPECT_FALSE(table->find(bucket, 12));
  EXPECT_FALSE(table->find(*Descriptor::parse("w4 g128 asym f16->f16 n64 k256 m1..1"), 1));
}

TEST(PeerTable, ABadLineIsNamed) {
  constexpr const char *kBad[] = {
      "w4 g128 sym f16->f16 n64 k256 m1..1 | one",
      "w4 g128 sym f16->f16 n64 k256 m1..1 | one | fast",
      "w4 g128 sym f16->f16 n64 k256 m1..1 | one | 8us",
      "w4 g128 sym f16->f16 n64 k256 m1..1 | one | -8",
      "w4 g128 sym f16->f16 n64 k256 m1..1 | one | inf",
      "w4 g128 sym f16->f16 n64 k256 m1..1 | | 8",
      "w4 g128 sym f16->f16 n64 k256 m1..2 | one | 8",
      "w9 g128 sym f16->f16 n64 k256 m1..1 | one | 8",
  };
  for (const char *line : kBad) {
    const auto table = PeerTable::parse(std::string("# head\n") + line, "peers.txt");
    ASSERT_FALSE(table.ok()) << line;
    EXPECT_EQ(table.status().message().rfind("peers.txt:2: ", 0), 0u) << table.status().message();
  }
}

TEST(PeerTable, TheTableOfTheH200IsInsideAndNamesEachPointOnce) {
  const PeerTable table = PeerTable::builtIn("h200");
  const auto file = PeerTable::read(GPTQC_SOURCE_DIR "/bench/peers_h200.txt");
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(table.all().size(), file->all().size());
  for (const PeerTime &time : table.all())
    EXPECT_EQ(table.find(time.descriptor, time.descriptor.m.hi), &time)
        << "twice: " << time.descriptor.print();
  const Descriptor square = *Descriptor::parse("w4 g128 sym f16->f16 n8192 k8192 m1..1");
  ASSERT_TRUE(table.find(square, 1));
  EXPECT_EQ(table.find(square, 1)->microseconds, 14.9);
  EXPECT_TRUE(PeerTable::builtIn("gpu").all().empty());
}

} // namespace
