// Helpers for the one-line text forms of Descriptor, Target and Schedule: split into tokens, parse
// a number with its prefix, complain in one voice.
#ifndef GPTQC_RUNTIME_CORE_TEXTFORM_H
#define GPTQC_RUNTIME_CORE_TEXTFORM_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gptqc {

/// Splits at blanks; runs of blanks count as one.
std::vector<std::string_view> splitTokens(std::string_view text);

/// Splits at every `separator`; the pieces may be empty.
std::vector<std::string_view> splitAt(std::string_view text, char separator);

/// `text` without blanks at both ends.
std::string_view trim(std::string_view text);

/// A decimal integer that is the whole of `text` (a leading '-' is allowed, '+' and leading zeros
/// are not); nothing when it is no such number or does not fit.
std::optional<int64_t> parseInteger(std::string_view text);

/// The integer behind `prefix`; nothing when the prefix or the number is not there.
std::optional<int64_t> parsePrefixed(std::string_view text, std::string_view prefix);

/// A positive number of bytes: digits, then nothing or one of K, M, G, T (powers of 1024); nothing
/// when it is no such text or does not fit.
std::optional<int64_t> parseByteSize(std::string_view text);

/// Foreign text made safe for a one-line message: control characters escaped, long text cut.
std::string quoteName(std::string_view name);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_TEXTFORM_H
