// The choice between the two kinds of tokenizer files.
#include "runtime/tokenizer/Tokenizer.h"

#include "runtime/checkpoint/HfFolder.h"
#include "runtime/tokenizer/BytePair.h"
#include "runtime/tokenizer/SentencePiece.h"

namespace gptqc {

Result<std::shared_ptr<const Tokenizer>> Tokenizer::open(const std::filesystem::path &folder) {
  const std::filesystem::path json = folder / "tokenizer.json", model = folder / "tokenizer.model";
  std::error_code error;
  const bool hasJson = std::filesystem::exists(json, error);
  const bool hasModel = std::filesystem::exists(model, error);
  if (!hasJson && !hasModel)
    return makeError(Code::NotFound,
                     "{}: there is neither tokenizer.json nor tokenizer.model; fetch one of them, "
                     "or give token ids",
                     folder.string());
  if (hasJson) {
    Result<std::shared_ptr<const Tokenizer>> opened = openBytePair(folder);
    if (opened.ok() || opened.status().code() != Code::Unsupported || !hasModel)
      return opened;
  }
  return openSentencePiece(folder);
}

Result<std::vector<int32_t>> Tokenizer::encodeDocument(std::string_view text) const {
  GPTQC_ASSIGN(const std::vector<int32_t> ids, encode(text));
  std::vector<int32_t> document = opening;
  document.insert(document.end(), ids.begin(), ids.end());
  return document;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids)
    text += bytesOf(id);
  return text;
}

Result<std::string> openingTokenName(const std::filesystem::path &folder) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  GPTQC_ASSIGN(const std::optional<nlohmann::ordered_json> config, readJsonObject(path));
  if (!config)
    return std::string();
  if (const auto add = config->find("add_bos_token");
      add != config->end() && add->is_boolean() && !add->get<bool>())
    return std::string();
  auto token = config->find("bos_token");
  if (token == config->end() || token->is_null())
    return std::string();
  const nlohmann::ordered_json &content =
      token->is_object() && token->contains("content") ? (*token)["content"] : *token;
  if (!content.is_string())
    return dataCorrupt("{}: bos_token is no text", path.string());
  return content.get<std::string>();
}

} // namespace gptqc
