// tokenizer.json, part by part, and the way of a text through it: added tokens, normalization,
// words, bytes, merges.
#include "runtime/tokenizer/BytePair.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "runtime/checkpoint/HfFolder.h"
#include "runtime/core/SafeTensors.h"
#include "runtime/tokenizer/MergeTable.h"
#include "runtime/tokenizer/TextSplit.h"

namespace gptqc {
namespace {

using json = nlohmann::json;

/// The pattern of GPT-2, which the pre-tokenizer ByteLevel stands for.
constexpr const char *kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

void appendUtf8(uint32_t character, std::string &text) {
  if (character < 0x80) {
    text += char(character);
  } else { // the alphabet below ends at 0x143
    text += char(0xc0 | character >> 6);
    text += char(0x80 | (character & 0x3f));
  }
}

/// GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others, in order, for the
/// characters from U+0100.
std::array<std::string, 256> byteAlphabet() {
  std::array<std::string, 256> alphabet;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    appendUtf8(printable ? byte : next++, alphabet[byte]);
  }
  return alphabet;
}

const json *member(const json &object, const char *key) {
  if (!object.is_object())
    return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}
std::string textOf(const json &object, const char *key) {
  const json *value = member(object, key);
  return value && value->is_string() ? value->get<std::string>() : std::string();
}
bool flagOf(const json &object, const char *key) {
  const json *value = member(object, key);
  return value && value->is_boolean() && value->get<bool>();
}
std::optional<int32_t> idOf(const json *value) {
  if (!value || !value->is_number_unsigned() || value->get<uint64_t>() > INT32_MAX)
    return std::nullopt;
  return value->get<int32_t>();
}

Status unsupported(const char *part, const json &value) {
  return makeError(Code::Unsupported,
                   "its {} '{}' is not that of byte-level BPE (GPT-2, Llama 3, Qwen); give token "
                   "ids instead of text",
                   part, quoteName(textOf(value, "type")));
}

/// The steps of a Sequence, or the one step that `value` is.
std::vector<const json *> stepsOf(const json *value, const char *listKey) {
  std::vector<const json *> steps;
  if (!value)
    return steps;
  const json *list = textOf(*value, "type") == "Sequence" ? member(*value, listKey) : nullptr;
  if (!list)
    return {value};
  for (const json &step : *list)
    steps.push_back(&step);
  return steps;
}

class BytePairTokenizer final : public Tokenizer {
public:
  Status load(const json &root, const std::string &openingName);

  Result<std::vector<int32_t>> encode(std::string_view text) const override;
  std::string bytesOf(int32_t id) const override {
    const auto found = tokenBytes.find(id);
    return found == tokenBytes.end() ? std::string() : found->second;
  }

private:
  Status loadModel(const json &model);
  Status loadMerges(const json &merges);
  Status loadAddedTokens(const json *list);
  Status loadNormalizer(const json *normalizer);
  Status loadPreTokenizer(const json *preTokenizer);
  Status loadOpening(const json *postProcessor, const std::string &openingName);
  Status encodePlain(std::string_view text, std::vector<int32_t> &ids) const;
  void encodeWord(std::string_view word, std::vector<int32_t> &ids) const;
  std::string toBytes(const std::string &token) const;

  std::unordered_map<std::string, int32_t> vocabulary; ///< in the byte alphabet
  std::unordered_map<int32_t, std::string> tokenBytes; ///< special tokens left out
  std::array<std::string, 256> alphabet = byteAlphabet();
  std::array<int32_t, 256> byteIds{}; ///< -1: not in the vocabulary
  MergeTable merges;
  bool wholeWordsFirst = false; ///< a word that is a token is not merged together
  bool nfc = false, prefixSpace = false;
  std::vector<TextSplitter> splitters;                  ///< one after the other
  std::map<std::string, int32_t, std::greater<>> added; ///< a prefix of a token comes after it
  std::array<bool, 256> opensAdded{};                   ///< first bytes of added tokens
};

/// The bytes behind a token in the byte alphabet; characters outside it stand for themselves.
std::string BytePairTokenizer::toBytes(const std::string &token) const {
  static const std::unordered_map<std::string, char> kBytes = [] {
    std::unordered_map<std::string, char> table;
    const std::array<std::string, 256> letters = byteAlphabet();
    for (size_t byte = 0; byte < 256; ++byte)
      table[letters[byte]] = char(byte);
    return table;
  }();
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    size_t size = 1;
    while (at + size < token.size() &&
           (static_cast<unsigned char>(token[at + size]) & 0xc0) == 0x80)
      ++size;
    const std::string character = token.substr(at, size);
    const auto found = kBytes.find(character);
    bytes += found == kBytes.end() ? character : std::string(1, found->second);
    at += size;
  }
  return bytes;
}

Status BytePairTokenizer::loadModel(const json &model) {
  const json *words = member(model, "vocab"), *pairs = member(model, "merges");
  if (textOf(model, "type") != "BPE" || flagOf(model, "byte_fallback"))
    return unsupported("model", model);
  if (!textOf(model, "continuing_subword_prefix").empty() ||
      !textOf(model, "end_of_word_suffix").empty())
    return unsupported("model", model);
  if (!words || !words->is_object() || !pairs || !pairs->is_array())
    return dataCorrupt("its model has no vocab and merges; fetch it again");
  for (const auto &[word, id] : words->items()) {
    const std::optional<int32_t> number = idOf(&id);
    if (!number)
      return dataCorrupt("token '{}' has no id", quoteName(word));
    vocabulary[word] = *number;
    tokenBytes[*number] = toBytes(word);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto found = vocabulary.find(alphabet[byte]);
    byteIds[byte] = found == vocabulary.end() ? -1 : found->second;
  }
  wholeWordsFirst = flagOf(model, "ignore_merges");
  return loadMerges(*pairs);
}

Status BytePairTokenizer::loadMerges(const json &list) {
  for (const json &pair : list) {
    std::string left, right;
    if (pair.is_string()) { // "left right"
      const std::string &text = pair.get_ref<const std::string &>();
      const size_t space = text.find(' ');
      left = text.substr(0, space);
      right = space == std::string::npos ? std::string() : text.substr(space + 1);
    } else if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string()) {
      left = pair[0].get<std::string>();
      right = pair[1].get<std::string>();
    }
    const auto first = vocabulary.find(left), second = vocabulary.find(right),
               merged = vocabulary.find(left + right);
    if (first == vocabulary.end() || second == vocabulary.end() || merged == vocabulary.end())
      return dataCorrupt("merge {} is not of tokens of the vocabulary", quoteName(pair.dump()));
    merges.add(first->second, second->second, merged->second);
  }
  return Status();
}

Status BytePairTokenizer::loadAddedTokens(const json *list) {
  for (const json &token : list ? *list : json::array()) {
    const std::string content = textOf(token, "content");
    const std::optional<int32_t> id = idOf(member(token, "id"));
    if (content.empty() || !id)
      return dataCorrupt("an added token has no content and id");
    if (flagOf(token, "lstrip") || flagOf(token, "rstrip") || flagOf(token, "single_word"))
      return makeError(Code::Unsupported, "added token '{}' takes the spaces around it",
                       quoteName(content));
    added[content] = *id;
    opensAdded[static_cast<unsigned char>(content.front())] = true;
    if (flagOf(token, "special"))
      tokenBytes.erase(*id);
    else
      tokenBytes[*id] = content;
  }
  return Status();
}

Status BytePairTokenizer::loadNormalizer(const json *normalizer) {
  for (const json *step : stepsOf(normalizer, "normalizers")) {
    if (textOf(*step, "type") != "NFC")
      return unsupported("normalizer", *step);
    nfc = true;
  }
  return Status();
}

Status BytePairTokenizer::loadPreTokenizer(const json *preTokenizer) {
  bool bytes = false;
  for (const json *step : stepsOf(preTokenizer, "pretokenizers")) {
    const std::string type = textOf(*step, "type");
    std::string pattern;
    if (type == "ByteLevel") {
      bytes = true;
      if (flagOf(*step, "add_prefix_space") && !splitters.empty())
        return unsupported("pre_tokenizer", *step); // a space before every word
      prefixSpace = flagOf(*step, "add_prefix_space");
      if (!member(*step, "use_regex") || flagOf(*step, "use_regex"))
        pattern = kGpt2Pattern;
    } else if (type == "Split" && textOf(*step, "behavior") == "Isolated" &&
               member(*step, "pattern")) {
      pattern = textOf((*step)["pattern"], "Regex");
      if (pattern.empty())
        return unsupported("pre_tokenizer", *step);
    } else {
      return unsupported("pre_tokenizer", *step);
    }
    if (!pattern.empty()) {
      GPTQC_ASSIGN(TextSplitter splitter, TextSplitter::create(pattern));
      splitters.push_back(std::move(splitter));
    }
  }
  return bytes ? Status() : unsupported("pre_tokenizer", preTokenizer ? *preTokenizer : json());
}

/// The special tokens before the text, as a TemplateProcessing step puts them; without one, the
/// opening token of tokenizer_config.json.
Status BytePairTokenizer::loadOpening(const json *postProcessor, const std::string &openingName) {
  for (const json *step : stepsOf(postProcessor, "processors")) {
    const json *single = member(*step, "single");
    if (textOf(*step, "type") != "TemplateProcessing" || !single)
      continue;
    for (const json &part : *single) {
      if (!part.is_object() || !part.contains("SpecialToken"))
        break;
      const auto found = added.find(textOf(part["SpecialToken"], "id"));
      if (found == added.end())
        return dataCorrupt("its post_processor names a token that does not exist");
      opening.push_back(found->second);
    }
    return Status();
  }
  if (const auto found = added.find(openingName); found != added.end())
    opening = {found->second};
  return Status();
}

Status BytePairTokenizer::load(const json &root, const std::string &openingName) {
  const json *model = member(root, "model");
  if (!model)
    return dataCorrupt("it has no model; fetch it again");
  GPTQC_TRY(loadModel(*model));
  GPTQC_TRY(loadAddedTokens(member(root, "added_tokens")));
  GPTQC_TRY(loadNormalizer(member(root, "normalizer")));
  GPTQC_TRY(loadPreTokenizer(member(root, "pre_tokenizer")));
  return loadOpening(member(root, "post_processor"), openingName);
}

void BytePairTokenizer::encodeWord(std::string_view word, std::vector<int32_t> &ids) const {
  if (wholeWordsFirst) {
    std::string letters;
    for (const char c : word)
      letters += alphabet[static_cast<unsigned char>(c)];
    if (const auto found = vocabulary.find(letters); found != vocabulary.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  std::vector<int32_t> symbols;
  for (const char c : word)
    if (const int32_t id = byteIds[static_cast<unsigned char>(c)]; id >= 0)
      symbols.push_back(id);
  const std::vector<int32_t> merged = merges.apply(symbols);
  ids.insert(ids.end(), merged.begin(), merged.end());
}

/// Text between added tokens.
Status BytePairTokenizer::encodePlain(std::string_view text, std::vector<int32_t> &ids) const {
  if (text.empty())
    return Status();
  std::string own(text);
  if (nfc) {
    GPTQC_ASSIGN(own, composeNfc(text));
  }
  if (prefixSpace && own.front() != ' ')
    own.insert(0, 1, ' ');
  std::vector<std::string_view> pieces = {own};
  for (const TextSplitter &splitter : splitters) {
    std::vector<std::string_view> smaller;
    for (const std::string_view piece : pieces)
      GPTQC_TRY(splitter.split(piece, smaller));
    pieces = std::move(smaller);
  }
  for (const std::string_view piece : pieces)
    encodeWord(piece, ids);
  return Status();
}

Result<std::vector<int32_t>> BytePairTokenizer::encode(std::string_view text) const {
  GPTQC_TRY(checkUtf8(text));
  std::vector<int32_t> ids;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const bool possible = opensAdded[static_cast<unsigned char>(text[at])];
    const auto here = possible ? std::find_if(added.begin(), added.end(),
                                              [&](const auto &token) {
                                                return text.substr(at).starts_with(token.first);
                                              })
                               : added.end();
    if (here == added.end()) {
      ++at;
      continue;
    }
    GPTQC_TRY(encodePlain(text.substr(begin, at - begin), ids));
    ids.push_back(here->second);
    begin = at += here->first.size();
  }
  GPTQC_TRY(encodePlain(text.substr(begin), ids));
  return ids;
}

} // namespace

Result<std::shared_ptr<const Tokenizer>> openBytePair(const std::filesystem::path &folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  GPTQC_ASSIGN(const std::optional<json> root, readJsonTable(path));
  if (!root)
    return makeError(Code::NotFound, "{} does not exist", path.string());
  GPTQC_ASSIGN(const std::string openingName, openingTokenName(folder));
  auto tokenizer = std::make_shared<BytePairTokenizer>();
  GPTQC_TRY(tokenizer->load(*root, openingName).withContext(path.string()));
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

} // namespace gptqc
