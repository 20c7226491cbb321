// Text to token ids and back, by the files of a model folder. An optional library: the rest of the
// runtime works on ids.
#ifndef GPTQC_RUNTIME_TOKENIZER_TOKENIZER_H
#define GPTQC_RUNTIME_TOKENIZER_TOKENIZER_H

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

/// Immutable and thread-safe.
class Tokenizer {
public:
  /// tokenizer.json where it is byte-level BPE, else tokenizer.model (SentencePiece). NotFound when
  /// the folder has neither, Unsupported naming the part of tokenizer.json that we do not have.
  static Result<std::shared_ptr<const Tokenizer>> open(const std::filesystem::path &folder);

  virtual ~Tokenizer() = default;

  /// The ids of the text, nothing added. InvalidArgument where the text is not UTF-8.
  virtual Result<std::vector<int32_t>> encode(std::string_view text) const = 0;

  /// The bytes that an id stands for, in the middle of a text; they may be part of a character.
  /// Empty for special tokens and ids that do not exist.
  virtual std::string bytesOf(int32_t id) const = 0;

  /// encode(), behind the tokens that open a document (often none, or one).
  Result<std::vector<int32_t>> encodeDocument(std::string_view text) const;

  /// The bytes of all ids.
  std::string decode(std::span<const int32_t> ids) const;

  const std::vector<int32_t> &openingTokens() const { return opening; }

protected:
  std::vector<int32_t> opening;
};

/// The opening tokens of tokenizer_config.json: bos_token, unless that is null or add_bos_token is
/// false; empty when there is no such file.
Result<std::string> openingTokenName(const std::filesystem::path &folder);

} // namespace gptqc

#endif // GPTQC_RUNTIME_TOKENIZER_TOKENIZER_H
