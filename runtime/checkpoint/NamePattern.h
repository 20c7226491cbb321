// NamePattern: the regular expression of a rule of `dynamic`.
#ifndef GPTQC_RUNTIME_CHECKPOINT_NAMEPATTERN_H
#define GPTQC_RUNTIME_CHECKPOINT_NAMEPATTERN_H

#include <regex>
#include <string>
#include <string_view>

namespace gptqc {

/// Immutable and thread-safe. Throws std::regex_error for a pattern that is none.
class NamePattern {
  // A backtracking matcher takes exponential time for patterns like (a+)+b. libstdc++ has one
  // without, that refuses back-references instead.
#ifdef __GLIBCXX__
  static constexpr auto kSyntax = std::regex::ECMAScript | std::regex_constants::__polynomial;
#else
  static constexpr auto kSyntax = std::regex::ECMAScript;
#endif

public:
  explicit NamePattern(const std::string &pattern) : regex(pattern, kSyntax) {}

  bool matchesStartOf(std::string_view name) const {
    // The matcher recurses per character; no module of a model has a name this long.
    constexpr size_t kLongestName = 500;
    if (name.size() > kLongestName)
      return false;
    try {
      return std::regex_search(name.begin(), name.end(), regex,
                               std::regex_constants::match_continuous);
    } catch (const std::regex_error &) { // the pattern is too complex for this name
      return false;
    }
  }

private:
  std::regex regex;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_NAMEPATTERN_H
