// Text inside HTML and SVG.
#ifndef GPTQC_CLI_BENCH_MARKUP_H
#define GPTQC_CLI_BENCH_MARKUP_H

#include <string>
#include <string_view>

namespace gptqc::cli {

/// As content or as a quoted attribute; control characters, which XML forbids, are left out.
inline std::string escapeMarkup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) >= 32)
      out += c;
  }
  return out;
}

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_MARKUP_H
