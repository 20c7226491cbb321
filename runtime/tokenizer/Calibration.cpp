// Reading of documents, and their cutting into rows.
#include "runtime/tokenizer/Calibration.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "runtime/checkpoint/HfFolder.h"
#include "runtime/core/AtomicFile.h"

namespace gptqc {
namespace {

constexpr int64_t kDefaultSamples = 128, kDefaultLength = 2048;

/// Of a row of text: as long as the model was made for, where that is shorter.
int64_t defaultLength(const std::filesystem::path &model) {
  const Result<HfFolder> folder = HfFolder::open(model);
  if (!folder.ok())
    return kDefaultLength; // the model's own error comes later
  const auto positions = folder->config().find("max_position_embeddings");
  const bool known = positions != folder->config().end() && positions->is_number_unsigned() &&
                     *positions > 0 && *positions < kDefaultLength;
  return known ? positions->get<int64_t>() : kDefaultLength;
}

Result<std::string> textOfLine(std::string_view line, int64_t number) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object() || !object.contains("text") || !object["text"].is_string())
    return dataCorrupt("line {} is no JSON object with a \"text\"", number);
  return object["text"].get<std::string>();
}

/// Appends documents until there are `wanted` tokens.
Status readDocuments(std::string_view text, bool lines, const Tokenizer &tokenizer, int64_t wanted,
                     std::vector<int32_t> &ids) {
  const auto append = [&](std::string_view document) -> Status {
    GPTQC_ASSIGN(const std::vector<int32_t> tokens, tokenizer.encodeDocument(document));
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    return Status();
  };
  if (!lines)
    return append(text);
  for (int64_t number = 1; int64_t(ids.size()) < wanted && !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    GPTQC_ASSIGN(const std::string document, textOfLine(line, number));
    GPTQC_TRY(append(document).withContext(fmt::format("line {}", number)));
  }
  return Status();
}

} // namespace

Result<TokenRows> loadCalibration(const std::filesystem::path &path,
                                  const std::filesystem::path &model, std::string_view name,
                                  int64_t samples, int64_t length) {
  const std::string kind = path.extension().string();
  if (kind != ".txt" && kind != ".jsonl") {
    if (kind != ".safetensors" && kind != ".npy")
      return makeError(Code::Unsupported,
                       "{}: calibration is read from .safetensors, .npy, .txt or .jsonl files",
                       path.string());
    GPTQC_ASSIGN(const TokenRows all, loadTokenRows(path, name));
    Result<TokenRows> rows = firstRows(all, samples, length);
    GPTQC_TRY(rows.status().withContext(path.string()));
    return rows;
  }
  GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(path));
  const std::string_view text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  GPTQC_ASSIGN(const std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::open(model));
  TokenRows rows;
  rows.rows = samples > 0 ? samples : kDefaultSamples;
  rows.length = length > 0 ? length : defaultLength(model);
  const int64_t wanted = rows.rows * rows.length;
  GPTQC_TRY(readDocuments(text, kind == ".jsonl", *tokenizer, wanted, rows.ids)
                .withContext(path.string()));
  if (int64_t(rows.ids.size()) < wanted)
    return invalidArgument("{}: its text has {} tokens, {} rows of {} need {}; give more text, or "
                           "ask for fewer or shorter rows",
                           path.string(), rows.ids.size(), rows.rows, rows.length, wanted);
  rows.ids.resize(size_t(wanted));
  return rows;
}

} // namespace gptqc
