// Token by token against Hugging Face tokenizers and SentencePiece
// (tests/support/record_tokenizers.py), and damaged files.
#include "runtime/tokenizer/Tokenizer.h"

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

const std::filesystem::path kData = std::filesystem::path(GPTQC_SOURCE_DIR) / "tests/data";

nlohmann::json recordedFor(const std::string &name) {
  std::ifstream stream(kData / "tokenizers/encodings.json");
  return nlohmann::json::parse(stream)[name];
}

std::shared_ptr<const Tokenizer> openTokenizer(const std::filesystem::path &folder) {
  const Result<std::shared_ptr<const Tokenizer>> opened = Tokenizer::open(folder);
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  return opened.ok() ? *opened : nullptr;
}

/// All recorded texts; decoding gives the text back, but for normalization.
void expectRecorded(const Tokenizer &tokenizer, const std::string &name, bool exactText) {
  const nlohmann::json recorded = recordedFor(name);
  ASSERT_GT(recorded.size(), 15U);
  for (const nlohmann::json &entry : recorded) {
    const std::string text = entry[0];
    const Result<std::vector<int32_t>> ids = tokenizer.encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_EQ(*ids, entry[1].get<std::vector<int32_t>>()) << name << ": " << text;
    if (exactText && text.find('<') == std::string::npos) {
      EXPECT_EQ(tokenizer.decode(*ids), text);
    }
  }
}

TEST(Tokenizer, OfTheBundledModels) {
  for (const char *model : {"docs-llama-7m", "docs-opt-5m"}) {
    const auto tokenizer = openTokenizer(kData / "models" / model);
    ASSERT_TRUE(tokenizer);
    expectRecorded(*tokenizer, "bundled", false);
    EXPECT_EQ(tokenizer->openingTokens(), std::vector<int32_t>{1});
    EXPECT_EQ(tokenizer->encodeDocument("")->front(), 1);
    EXPECT_EQ(tokenizer->bytesOf(1), "");
    EXPECT_EQ(tokenizer->bytesOf(-5), "");
    EXPECT_EQ(tokenizer->bytesOf(1 << 30), "");
    const auto ids = tokenizer->encode("The index is used.");
    EXPECT_EQ(tokenizer->decode(*ids), "The index is used.");
  }
}

TEST(Tokenizer, LikeLlama3) {
  const auto tokenizer = openTokenizer(kData / "tokenizers/llama3");
  ASSERT_TRUE(tokenizer);
  expectRecorded(*tokenizer, "llama3", true);
  ASSERT_EQ(tokenizer->openingTokens().size(), 1U);
  EXPECT_EQ(*tokenizer->encode("<|begin|>"), tokenizer->openingTokens());
}

TEST(Tokenizer, LikeQwen) {
  const auto tokenizer = openTokenizer(kData / "tokenizers/qwen");
  ASSERT_TRUE(tokenizer);
  expectRecorded(*tokenizer, "qwen", false);
  EXPECT_TRUE(tokenizer->openingTokens().empty());
  EXPECT_EQ(*tokenizer->encode("cafe\xcc\x81"), *tokenizer->encode("caf\xc3\xa9"));
}

#ifdef GPTQC_HAVE_SENTENCEPIECE
TEST(Tokenizer, SentencePiece) {
  const auto tokenizer = openTokenizer(kData / "tokenizers/sentencepiece");
  ASSERT_TRUE(tokenizer);
  expectRecorded(*tokenizer, "sentencepiece", false);
  EXPECT_EQ(tokenizer->openingTokens(), std::vector<int32_t>{1});
  const auto ids = tokenizer->encode("the rows \xe6\x97\xa5\xe2\x82\xac");
  EXPECT_EQ(tokenizer->decode(*ids), " the rows \xe6\x97\xa5\xe2\x82\xac");
  fixtures::TempFolder folder;
  fixtures::writeText(folder / "tokenizer.model", "not a model");
  const auto damaged = Tokenizer::open(folder.path());
  EXPECT_EQ(damaged.status().code(), Code::DataCorrupt);
  EXPECT_NE(damaged.status().message().find("tokenizer.model cannot be read"), std::string::npos);
}
#endif

TEST(Tokenizer, TextThatIsNotUtf8) {
  const auto tokenizer = openTokenizer(kData / "tokenizers/llama3");
  ASSERT_TRUE(tokenizer);
  for (const char *text : {"ab\xff", "ab\xc3", "ab\xed\xa0\x80", "ab\xc0\x80"}) {
    const auto ids = tokenizer->encode(text);
    EXPECT_EQ(ids.status().code(), Code::InvalidArgument);
    EXPECT_EQ(ids.status().message(), "byte 2 of the text is not UTF-8; convert the text first");
  }
}

TEST(Tokenizer, FilesThatCannotBeUsed) {
  fixtures::TempFolder folder;
  const auto statusOf = [&](const nlohmann::json &root) {
    fixtures::writeText(folder / "tokenizer.json", root.dump());
    return Tokenizer::open(folder.path()).status();
  };
  const auto expect = [](const Status &status, Code code, const std::string &text) {
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
  };
  expect(Tokenizer::open(folder.path()).status(), Code::NotFound,
         "neither tokenizer.json nor tokenizer.model");
  expect(statusOf("text"), Code::DataCorrupt, "no JSON object");
  std::ifstream stream(kData / "tokenizers/llama3/tokenizer.json");
  const nlohmann::json good = nlohmann::json::parse(stream);
  EXPECT_TRUE(statusOf(good).ok());
  const auto with = [&](const char *path, const nlohmann::json &value) {
    nlohmann::json changed = good;
    changed[nlohmann::json::json_pointer(path)] = value;
    return statusOf(changed);
  };
  expect(with("/model/type", "Unigram"), Code::Unsupported, "is not that of byte-level BPE");
  expect(with("/model/byte_fallback", true), Code::Unsupported, "its model 'BPE'");
  expect(with("/model/merges/0", "nothing here"), Code::DataCorrupt,
         "merge \"nothing here\" is not of tokens");
  expect(with("/model/vocab/a", "x"), Code::DataCorrupt, "token 'a' has no id");
  expect(with("/normalizer", {{"type", "Lowercase"}}), Code::Unsupported,
         "its normalizer 'Lowercase'");
  expect(with("/pre_tokenizer", {{"type", "Metaspace"}}), Code::Unsupported,
         "its pre_tokenizer 'Metaspace'");
  expect(with("/pre_tokenizer/pretokenizers/0/pattern/Regex", "(unclosed"), Code::DataCorrupt,
         "pattern of its pre-tokenizer");
  expect(with("/added_tokens/0/lstrip", true), Code::Unsupported, "takes the spaces around it");
}

} // namespace
} // namespace gptqc
