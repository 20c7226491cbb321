// PCRE2 with Unicode properties; \s, \p{L} and \p{N} mean what they mean in Hugging Face
// tokenizers.
#include "runtime/tokenizer/TextSplit.h"

#include <cstdlib>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

namespace gptqc {
namespace {

std::string messageOf(int error) {
  PCRE2_UCHAR text[128] = {};
  pcre2_get_error_message(error, text, sizeof(text));
  return reinterpret_cast<const char *>(text);
}

/// PCRE2 counts U+180E among the spaces, which Unicode has not done since 6.3; a zero width space
/// is of the same class and size.
std::string withoutVowelSeparator(std::string_view text) {
  constexpr std::string_view kSeparator = "\xe1\xa0\x8e", kZeroWidth = "\xe2\x80\x8b";
  std::string changed(text);
  for (size_t at = 0; (at = changed.find(kSeparator, at)) != std::string::npos;)
    changed.replace(at, kSeparator.size(), kZeroWidth);
  return changed;
}

} // namespace

Result<TextSplitter> TextSplitter::create(const std::string &pattern) {
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code *code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (!code)
    return dataCorrupt("the pattern of its pre-tokenizer is not understood at {}: {}", at,
                       messageOf(error));
  TextSplitter splitter;
  splitter.code = std::shared_ptr<const void>(
      code, [](void *compiled) { pcre2_code_free(static_cast<pcre2_code *>(compiled)); });
  return splitter;
}

Status TextSplitter::split(std::string_view text, std::vector<std::string_view> &pieces) const {
  const auto *compiled = static_cast<const pcre2_code *>(code.get());
  const std::string subject = withoutVowelSeparator(text);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(compiled, nullptr), pcre2_match_data_free);
  size_t done = 0, from = 0;
  while (from < text.size()) {
    const int found = pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(subject.data()),
                                  subject.size(), from, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (found == PCRE2_ERROR_NOMATCH)
      break;
    if (found < 0)
      return makeError(Code::Internal, "splitting text into words: {}", messageOf(found));
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match.get());
    if (range[1] == range[0]) { // an empty match: look again one character later
      do
        ++from;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80);
      continue;
    }
    if (range[0] > done)
      pieces.push_back(text.substr(done, range[0] - done));
    pieces.push_back(text.substr(range[0], range[1] - range[0]));
    done = from = range[1];
  }
  if (done < text.size())
    pieces.push_back(text.substr(done));
  return Status();
}

Status checkUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t bytes =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t *>(text.data() + at),
                         utf8proc_ssize_t(text.size() - at), &character);
    if (bytes < 0)
      return invalidArgument("byte {} of the text is not UTF-8; convert the text first", at);
    at += size_t(bytes);
  }
  return Status();
}

Result<std::string> composeNfc(std::string_view text) {
  utf8proc_uint8_t *composed = nullptr;
  const utf8proc_ssize_t bytes = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t *>(text.data()), utf8proc_ssize_t(text.size()),
      &composed, utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (bytes < 0)
    return invalidArgument("the text cannot be normalized: {}", utf8proc_errmsg(bytes));
  std::string result(reinterpret_cast<const char *>(composed), size_t(bytes));
  std::free(composed); // utf8proc allocates with malloc
  return result;
}

} // namespace gptqc
