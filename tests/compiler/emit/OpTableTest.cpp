// The table of templates/README.md: it has every tile op, and its functions are in the headers it
// names.
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "templates/Templates.h"

namespace gptqc {
namespace {

std::string readText(const std::string &path) {
  std::ifstream file(std::string(GPTQC_SOURCE_DIR) + "/" + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(OpTable, NamesEveryOpAndExistingFunctions) {
  const std::string table = readText("templates/README.md");
  const std::regex row(R"(\| `tile\.(\w+)`[^|]*\| `(\w+)` \| (\S+) \|)");
  std::set<std::string> listed;
  for (std::sregex_iterator it(table.begin(), table.end(), row), end; it != end; ++it) {
    const std::string function = (*it)[2], header = (*it)[3];
    listed.insert((*it)[1]);
    if (header == "-")
      continue;
    const EmbeddedFile file = findTemplate(header);
    ASSERT_FALSE(file.name.empty()) << header;
    EXPECT_TRUE(std::regex_search(std::string(file.text), std::regex("\\b" + function + "\\b")))
        << function << " is not in " << header;
  }

  const std::string ops =
      readText("dialect/tile/TileOps.td") + readText("dialect/tile/TileRowsOps.td");
  const std::regex definition(R"(def Tile_\w+Op : Tile_\w*Op<"(\w+)\")");
  std::set<std::string> defined;
  for (std::sregex_iterator it(ops.begin(), ops.end(), definition), end; it != end; ++it)
    defined.insert((*it)[1]);
  EXPECT_GE(defined.size(), 15u);
  EXPECT_EQ(listed, defined);
}

} // namespace
} // namespace gptqc
