// Tokenizing for the text forms.
#include "runtime/core/TextForm.h"

#include <charconv>

#include <fmt/format.h>

namespace gptqc {

static constexpr std::string_view kBlanks = " \t\r\n";

std::vector<std::string_view> splitTokens(std::string_view text) {
  std::vector<std::string_view> tokens;
  size_t start = text.find_first_not_of(kBlanks);
  while (start != std::string_view::npos) {
    const size_t end = text.find_first_of(kBlanks, start);
    tokens.push_back(text.substr(start, end - start));
    start = text.find_first_not_of(kBlanks, end);
  }
  return tokens;
}

std::vector<std::string_view> splitAt(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  size_t start = 0;
  for (size_t end = text.find(separator); end != std::string_view::npos;
       end = text.find(separator, start)) {
    pieces.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  pieces.push_back(text.substr(start));
  return pieces;
}

std::string_view trim(std::string_view text) {
  const size_t start = text.find_first_not_of(kBlanks);
  if (start == std::string_view::npos)
    return {};
  return text.substr(start, text.find_last_not_of(kBlanks) - start + 1);
}

std::optional<int64_t> parseInteger(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (digits.size() > 1 && digits[0] == '0'))
    return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<int64_t> parsePrefixed(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix))
    return std::nullopt;
  return parseInteger(text.substr(prefix.size()));
}

std::optional<int64_t> parseByteSize(std::string_view text) {
  constexpr std::string_view kUnits = "KMGT";
  int shift = 0;
  if (!text.empty())
    if (const size_t unit = kUnits.find(text.back()); unit != std::string_view::npos) {
      shift = 10 * int(unit + 1);
      text.remove_suffix(1);
    }
  const std::optional<int64_t> number = parseInteger(text);
  if (!number || *number < 1 || *number > (INT64_MAX >> shift))
    return std::nullopt;
  return *number << shift;
}

std::string quoteName(std::string_view name) {
  constexpr size_t kLongest = 160;
  std::string quoted;
  for (char c : name.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      quoted += fmt::format("\\x{:02x}", byte);
    else
      quoted += c;
  }
  if (name.size() > kLongest)
    quoted += "...";
  return quoted;
}

} // namespace gptqc
