// The embedded device sources are the files under templates/, byte for byte.
#include "templates/Templates.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(GPTQC_SOURCE_DIR) / "templates";

TEST(Templates, EveryDeviceFileIsEmbedded) {
  std::vector<std::string> want, have;
  for (const auto &entry : fs::recursive_directory_iterator(kFolder)) {
    const std::string name = fs::relative(entry.path(), kFolder).string();
    if (name.ends_with(".cuh") || (name.starts_with("support/") && name.ends_with(".cu")))
      want.push_back(name);
  }
  std::sort(want.begin(), want.end());
  for (const EmbeddedFile &file : embeddedTemplates())
    have.emplace_back(file.name);
  EXPECT_FALSE(want.empty());
  EXPECT_EQ(have, want);
}

TEST(Templates, BytesAreThoseOfTheFile) {
  for (const EmbeddedFile &file : embeddedTemplates()) {
    std::ostringstream text;
    text << std::ifstream(kFolder / file.name, std::ios::binary).rdbuf();
    EXPECT_TRUE(file.text == text.str()) << file.name;
    EXPECT_EQ(file.text.data()[file.text.size()], '\0') << file.name;
    EXPECT_EQ(findTemplate(file.name).text.data(), file.text.data());
  }
  EXPECT_TRUE(findTemplate("gptqc/none.cuh").name.empty());
}

} // namespace
} // namespace gptqc
