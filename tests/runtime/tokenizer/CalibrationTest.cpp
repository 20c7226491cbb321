// Calibration rows from each kind of file.
#include "runtime/tokenizer/Calibration.h"

#include <gtest/gtest.h>

#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

const std::filesystem::path kTestData = std::filesystem::path(GPTQC_SOURCE_DIR) / "tests/data";
const std::filesystem::path kModel = kTestData / "models/docs-llama-7m";

class Calibration : public ::testing::Test {
protected:
  Result<TokenRows> load(const std::string &file, const std::string &text, int64_t samples,
                         int64_t length) {
    fixtures::writeText(folder / file, text);
    return loadCalibration(folder / file, kModel, "input_ids", samples, length);
  }
  static void expectError(const Result<TokenRows> &rows, Code code, const std::string &text) {
    EXPECT_EQ(rows.status().code(), code) << rows.status().message();
    EXPECT_NE(rows.status().message().find(text), std::string::npos) << rows.status().message();
  }
  fixtures::TempFolder folder;
};

TEST_F(Calibration, FromTokenIds) {
  const auto path = kTestData / "tokens.safetensors";
  const Result<TokenRows> all = loadCalibration(path, kModel, "input_ids", 0, 0);
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ(all->rows, 128);
  EXPECT_EQ(all->length, 512);
  EXPECT_EQ(loadCalibration(path, kModel, "input_ids", 3, 100)->ids.size(), 300U);
  expectError(loadCalibration(path, kModel, "input_ids", 129, 0), Code::InvalidArgument,
              "129 rows of 512 tokens are asked for");
}

TEST_F(Calibration, FromText) {
  const auto tokenizer = Tokenizer::open(kModel);
  ASSERT_TRUE(tokenizer.ok());
  const std::string text = "The index of a table is used when rows are sorted by its columns.\n";
  const std::vector<int32_t> ids = *(*tokenizer)->encodeDocument(text);
  ASSERT_GE(ids.size(), 15U);
  const Result<TokenRows> rows = load("a.txt", text, 3, 5);
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  EXPECT_EQ(rows->ids, std::vector<int32_t>(ids.begin(), ids.begin() + 15));
  EXPECT_EQ(rows->ids.front(), 1); // the token that opens a document
  // Each line of JSON is a document of its own; blank lines are none.
  const Result<TokenRows> lines =
      load("a.jsonl", "{\"text\": \"a\"}\n\n{\"id\": 3, \"text\": \"b\"}\r\n", 2, 2);
  ASSERT_TRUE(lines.ok()) << lines.status().message();
  EXPECT_EQ(lines->ids[0], 1);
  EXPECT_EQ(lines->ids[2], 1);
  EXPECT_EQ((*tokenizer)->decode(lines->ids), "ab");
}

TEST_F(Calibration, Errors) {
  expectError(load("a.txt", "too short", 0, 0), Code::InvalidArgument,
              "128 rows of 1024 need 131072; give more text");
  expectError(load("a.txt", "", 1, 2), Code::InvalidArgument, "its text has 1 tokens");
  expectError(load("a.txt", "not \xff UTF-8", 1, 1), Code::InvalidArgument,
              "byte 4 of the text is not UTF-8");
  expectError(load("a.jsonl", "{\"text\": \"a\"}\n{\"content\": 1}\n", 5, 5), Code::DataCorrupt,
              "line 2 is no JSON object with a \"text\"");
  expectError(load("a.csv", "1,2", 1, 1), Code::Unsupported,
              "read from .safetensors, .npy, .txt or .jsonl");
  expectError(loadCalibration(folder / "absent.txt", kModel, "input_ids", 1, 1), Code::NotFound,
              "absent.txt: no such file");
  std::filesystem::create_directory(folder / "folder.txt");
  expectError(loadCalibration(folder / "folder.txt", kModel, "input_ids", 1, 1), Code::IoError,
              "folder.txt: Is a directory");
}

} // namespace
} // namespace gptqc
