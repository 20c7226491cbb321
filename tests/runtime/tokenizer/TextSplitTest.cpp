// Words by a pattern, and what the two libraries do at the edges.
#include "runtime/tokenizer/TextSplit.h"

#include <gtest/gtest.h>

namespace gptqc {
namespace {

std::vector<std::string_view> split(const std::string &pattern, std::string_view text) {
  std::vector<std::string_view> pieces;
  const Result<TextSplitter> splitter = TextSplitter::create(pattern);
  EXPECT_TRUE(splitter.ok()) << splitter.status().message();
  EXPECT_TRUE(splitter->split(text, pieces).ok());
  return pieces;
}
using Pieces = std::vector<std::string_view>;

TEST(TextSplitter, MatchesAndWhatIsBetween) {
  EXPECT_EQ(split("[0-9]+", "ab12c3"), Pieces({"ab", "12", "c", "3"}));
  EXPECT_EQ(split("x*", "a\xc3\xa9xxb"), Pieces({"a\xc3\xa9", "xx", "b"})); // empty matches
  EXPECT_EQ(split("b", ""), Pieces());
}

TEST(TextSplitter, SpacesAreThoseOfUnicode) {
  for (const char *space : {" ", "\t", "\xc2\x85", "\xc2\xa0", "\xe2\x80\xa8", "\xe3\x80\x80"})
    EXPECT_EQ(split("\\s+", std::string("a") + space + "b"), Pieces({"a", space, "b"}));
  for (const char *other : {"\xe1\xa0\x8e", "\xe2\x80\x8b", "\xef\xbb\xbf"})
    EXPECT_EQ(split("\\s+", std::string("a") + other + "b").size(), 1U);
}

TEST(TextSplitter, PatternsThatCannotBeUsed) {
  for (const char *pattern : {"(", "a\\Cb", "[z-a]"})
    EXPECT_EQ(TextSplitter::create(pattern).status().code(), Code::DataCorrupt) << pattern;
  const Result<TextSplitter> slow = TextSplitter::create("(a+)+b");
  std::vector<std::string_view> pieces;
  EXPECT_EQ(slow->split(std::string(64, 'a') + "cb", pieces).code(), Code::Internal);
}

TEST(ComposeNfc, Canonical) {
  EXPECT_EQ(*composeNfc("cafe\xcc\x81"), "caf\xc3\xa9");
  EXPECT_EQ(*composeNfc("\xe2\x84\xa6"), "\xce\xa9");     // the sign ohm
  EXPECT_EQ(*composeNfc("\xef\xac\x81"), "\xef\xac\x81"); // no compatibility mapping
}

} // namespace
} // namespace gptqc
