// Valid IR made slightly wrong: texts are cut into tokens and lines, and a few of those are
// changed.
#ifndef GPTQC_TESTS_FUZZ_IRMUTATOR_H
#define GPTQC_TESTS_FUZZ_IRMUTATOR_H

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace gptqc::fuzz {

class IrMutator {
public:
  /// Adds the modules of a .mlir file (separated by `// -----`), without comments.
  void addFile(std::string_view text);

  size_t seedCount() const { return seeds.size(); }
  const std::string &seed(size_t index) const { return seeds[index]; }

  /// Input number `index` of a run; a function of the seeds and both numbers.
  std::string mutant(uint64_t run, uint64_t index) const;

private:
  using Random = std::mt19937_64;
  using Pieces = std::vector<std::string>;

  /// Another token of the same kind: a number for a number, a word for a word.
  std::string sibling(const std::string &token, Random &random) const;
  void mutateTokens(Pieces &tokens, Random &random) const;
  void mutateLines(Pieces &lines, Random &random) const;
  std::string foreignToken(Random &random) const;

  std::vector<std::string> seeds;
  std::vector<std::string> tokens; ///< of all seeds, in order: common ones are likelier
  std::vector<std::string> lines;
};

} // namespace gptqc::fuzz

#endif // GPTQC_TESTS_FUZZ_IRMUTATOR_H
