// Tokens, lines and the ways to change them.
#include "tests/fuzz/IrMutator.h"

#include <array>
#include <cctype>

namespace gptqc::fuzz {
namespace {

constexpr std::array kForeign = {"0",
                                 "-1",
                                 "1",
                                 "2",
                                 "7",
                                 "16",
                                 "63",
                                 "4096",
                                 "65536",
                                 "2147483647",
                                 "4294967296",
                                 "9223372036854775807",
                                 "-9223372036854775808",
                                 "99999999999999999999",
                                 "0x7fffffff",
                                 "1.0e400",
                                 "?",
                                 "*",
                                 "unit",
                                 "true",
                                 "false",
                                 "\"\"",
                                 "f16",
                                 "bf16",
                                 "f32",
                                 "i1",
                                 "i32",
                                 "index",
                                 "none",
                                 "tensor<?xf16>",
                                 "tensor<*xf16>",
                                 "memref<4xi8>",
                                 "vector<4xf32>",
                                 "%0",
                                 "%x",
                                 "@mma",
                                 "#gptq.schedule<\"\">",
                                 "sym",
                                 "asym",
                                 "ragged",
                                 "actorder",
                                 "silu_mul",
                                 "bias",
                                 "w2",
                                 "w8",
                                 "g-1",
                                 "m8193..",
                                 "splitk64",
                                 "stages8",
                                 "kwarps8",
                                 "xvec2",
                                 "sm_75",
                                 "{",
                                 "}",
                                 "<",
                                 ">",
                                 "(",
                                 ")"};

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Words, runs of blanks, and single other characters.
std::vector<std::string> tokensOf(std::string_view text) {
  std::vector<std::string> tokens;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    if (isWord(text[at]))
      while (end < text.size() && isWord(text[end]))
        ++end;
    tokens.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return tokens;
}

bool isBlank(const std::string &token) { return token == " " || token == "\n"; }

/// A number, a word, or something else.
int kindOf(const std::string &token) { return isDigit(token[0]) ? 0 : isWord(token[0]) ? 1 : 2; }

std::vector<std::string> linesOf(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::string joined(const std::vector<std::string> &pieces, std::string_view separator) {
  std::string text;
  for (const std::string &piece : pieces)
    text.append(piece).append(separator);
  return text;
}

size_t below(std::mt19937_64 &random, size_t limit) { return size_t(random() % limit); }

} // namespace

void IrMutator::addFile(std::string_view text) {
  std::vector<std::string> kept;
  const auto flush = [&] {
    const std::string seed = joined(kept, "\n");
    if (seed.find_first_not_of(" \n") != std::string::npos) {
      for (std::string &token : tokensOf(seed))
        if (!isBlank(token))
          tokens.push_back(std::move(token));
      lines.insert(lines.end(), kept.begin(), kept.end());
      seeds.push_back(seed);
    }
    kept.clear();
  };
  for (std::string &line : linesOf(text)) {
    if (line.starts_with("// -----"))
      flush();
    else if (line.find("//") != line.find_first_not_of(' ') || line.empty())
      kept.push_back(std::move(line));
  }
  flush();
}

std::string IrMutator::foreignToken(Random &random) const {
  return below(random, 2) == 0 ? kForeign[below(random, kForeign.size())]
                               : tokens[below(random, tokens.size())];
}

std::string IrMutator::sibling(const std::string &token, Random &random) const {
  if (isDigit(token[0]) && token.size() < 18 && below(random, 2) == 0) {
    const long long value = std::stoll(token);
    const long long near[] = {value + 1, value - 1, value * 2, value / 2, -value};
    return std::to_string(near[below(random, 5)]);
  }
  for (int tries = 0; tries < 16; ++tries)
    if (const std::string other = foreignToken(random); kindOf(other) == kindOf(token))
      return other;
  return token;
}

void IrMutator::mutateTokens(Pieces &pieces, Random &random) const {
  if (pieces.empty())
    return;
  size_t at = below(random, pieces.size());
  for (int tries = 0; tries < 16 && isBlank(pieces[at]); ++tries)
    at = below(random, pieces.size());
  const auto position = pieces.begin() + std::ptrdiff_t(at);
  switch (below(random, 10)) {
  case 0:
    pieces.erase(position);
    break;
  case 1:
    pieces.insert(position, std::string(pieces[at]));
    break;
  case 2:
    std::swap(pieces[at], pieces[below(random, pieces.size())]);
    break;
  case 3:
    pieces.insert(position, foreignToken(random));
    break;
  default: // the likeliest to stay valid
    pieces[at] = sibling(pieces[at], random);
  }
}

void IrMutator::mutateLines(Pieces &pieces, Random &random) const {
  if (pieces.empty())
    return;
  const size_t at = below(random, pieces.size());
  const auto position = pieces.begin() + std::ptrdiff_t(at);
  switch (below(random, 4)) {
  case 0:
    pieces.erase(position);
    break;
  case 1:
    pieces.insert(position, std::string(pieces[at]));
    break;
  case 2:
    std::swap(pieces[at], pieces[below(random, pieces.size())]);
    break;
  default:
    pieces.insert(position, lines[below(random, lines.size())]);
  }
}

std::string IrMutator::mutant(uint64_t run, uint64_t index) const {
  Random random(run * 0x9e3779b97f4a7c15ULL + index);
  std::string text = seeds[below(random, seeds.size())];
  if (below(random, 8) == 0) {
    Pieces pieces = linesOf(text);
    for (size_t count = 1 + below(random, 2); count > 0; --count)
      mutateLines(pieces, random);
    text = joined(pieces, "\n");
  }
  Pieces pieces = tokensOf(text);
  do
    mutateTokens(pieces, random);
  while (below(random, 3) == 0);
  text = joined(pieces, "");
  if (below(random, 32) == 0 && !text.empty()) // a byte that no lexer expects
    text[below(random, text.size())] = char(random());
  return text;
}

} // namespace gptqc::fuzz
