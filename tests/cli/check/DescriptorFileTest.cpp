// Descriptor files: comments, line ends, and errors that name the line.
#include "cli/check/DescriptorFile.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/core/AtomicFile.h"

using namespace gptqc;
using namespace gptqc::cli;

TEST(DescriptorFile, SkipsCommentsAndBlankLines) {
  const auto list = parseDescriptors("# head\n\n  w4 g128 sym f16->f16 n64 k128 m1..1  # one\r\n"
                                     "w3 g-1 asym bf16->bf16 n8 k32 m2.. bias",
                                     "x");
  ASSERT_TRUE(list.ok()) << list.status().message();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].print(), "w4 g128 sym f16->f16 n64 k128 m1..1");
  EXPECT_EQ((*list)[1].print(), "w3 g-1 asym bf16->bf16 n8 k32 m2.. bias");
}

TEST(DescriptorFile, ErrorsNameFileAndLine) {
  const auto list =
      parseDescriptors("# c\nw4 g128 sym f16->f16 n64 k128 m1..\n\nw9 g128 sym f16->f16 "
                       "n64 k128 m1..\n",
                       "shapes.txt");
  ASSERT_FALSE(list.ok());
  EXPECT_EQ(list.status().code(), Code::InvalidArgument);
  EXPECT_TRUE(list.status().message().starts_with("shapes.txt:4: ")) << list.status().message();
  EXPECT_NE(list.status().message().find("bits"), std::string::npos);
}

TEST(DescriptorFile, AListWithoutDescriptorsIsAnError) {
  EXPECT_FALSE(parseDescriptors("# nothing\n\n", "x").ok());
  EXPECT_FALSE(parseDescriptors("", "x").ok());
}

TEST(DescriptorFile, ReadsAFileAndNamesAMissingOne) {
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("gptqc-descriptors-{}.txt", size_t(::getpid()));
  ASSERT_TRUE(writeFileAtomically(path, "w4 g128 sym f16->f16 n64 k128 m1..\n").ok());
  EXPECT_EQ(readDescriptorFile(path)->size(), 1u);
  std::filesystem::remove(path);
  const auto missing = readDescriptorFile(path);
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find(path.string()), std::string::npos);
}

TEST(DescriptorFile, TokenCounts) {
  EXPECT_EQ(*parseTokenCounts("1, 7,16"), (std::vector<int64_t>{1, 7, 16}));
  for (const char *bad : {"", "1,,2", "0", "-3", "x", "99999999"})
    EXPECT_FALSE(parseTokenCounts(bad).ok()) << bad;
}

TEST(DescriptorFile, EveryBenchInputParses) {
  int files = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(std::string(GPTQC_SOURCE_DIR) + "/bench/inputs")) {
    const auto list = readDescriptorFile(entry.path());
    EXPECT_TRUE(list.ok()) << list.status().message();
    ++files;
  }
  EXPECT_GE(files, 4);
}
