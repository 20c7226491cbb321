// The merges of a byte-pair encoding, and their application to one word.
#ifndef GPTQC_RUNTIME_TOKENIZER_MERGETABLE_H
#define GPTQC_RUNTIME_TOKENIZER_MERGETABLE_H

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace gptqc {

class MergeTable {
public:
  /// `left` and `right` become `merged`; earlier merges come first.
  void add(int32_t left, int32_t right, int32_t merged) {
    merges.try_emplace(key(left, right), Merge{int32_t(merges.size()), merged});
  }

  /// Applies the first merge that fits, leftmost first, until none does. O(n log n).
  std::vector<int32_t> apply(const std::vector<int32_t> &symbols) const;

private:
  struct Merge {
    int32_t rank = 0, merged = 0;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  }

  std::unordered_map<uint64_t, Merge> merges;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_TOKENIZER_MERGETABLE_H
