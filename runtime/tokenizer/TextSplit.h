// Cutting text into words by the pattern of a tokenizer.json, and Unicode normalization: what PCRE2
// and utf8proc do for us.
#ifndef GPTQC_RUNTIME_TOKENIZER_TEXTSPLIT_H
#define GPTQC_RUNTIME_TOKENIZER_TEXTSPLIT_H

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

/// A compiled pattern; immutable and thread-safe.
class TextSplitter {
public:
  /// DataCorrupt when PCRE2 does not take the pattern.
  static Result<TextSplitter> create(const std::string &pattern);

  /// Appends the pieces of `text` (valid UTF-8), in order: each match, and what lies between two.
  Status split(std::string_view text, std::vector<std::string_view> &pieces) const;

private:
  std::shared_ptr<const void> code; ///< pcre2_code
};

/// InvalidArgument naming the first byte that is not UTF-8.
Status checkUtf8(std::string_view text);

/// Canonical composition (NFC) of valid UTF-8.
Result<std::string> composeNfc(std::string_view text);

} // namespace gptqc

#endif // GPTQC_RUNTIME_TOKENIZER_TEXTSPLIT_H
