// A linked list of symbols and a queue of possible merges.
#include "runtime/tokenizer/MergeTable.h"

#include <functional>
#include <queue>
#include <tuple>

namespace gptqc {
namespace {

struct Symbol {
  int32_t id = 0;
  int32_t previous = -1, next = -1; ///< -1: the end
  bool alive = true;
};

/// A merge that was possible when it was queued.
struct Candidate {
  int32_t rank = 0, position = 0;
  int32_t left = 0, right = 0, merged = 0;
  bool operator>(const Candidate &other) const {
    return std::tie(rank, position) > std::tie(other.rank, other.position);
  }
};

} // namespace

std::vector<int32_t> MergeTable::apply(const std::vector<int32_t> &symbols) const {
  std::vector<Symbol> list;
  for (size_t i = 0; i < symbols.size(); ++i)
    list.push_back({symbols[i], int32_t(i) - 1, i + 1 < symbols.size() ? int32_t(i) + 1 : -1});
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto propose = [&](int32_t position) {
    if (position < 0 || list[size_t(position)].next < 0)
      return;
    const int32_t left = list[size_t(position)].id;
    const int32_t right = list[size_t(list[size_t(position)].next)].id;
    if (const auto found = merges.find(key(left, right)); found != merges.end())
      queue.push({found->second.rank, position, left, right, found->second.merged});
  };
  for (int32_t i = 0; i < int32_t(list.size()); ++i)
    propose(i);
  while (!queue.empty()) {
    const Candidate candidate = queue.top();
    queue.pop();
    Symbol &left = list[size_t(candidate.position)];
    if (!left.alive || left.id != candidate.left || left.next < 0 ||
        list[size_t(left.next)].id != candidate.right)
      continue; // one of the two has been merged since
    Symbol &right = list[size_t(left.next)];
    left.id = candidate.merged;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0)
      list[size_t(left.next)].previous = candidate.position;
    propose(candidate.position);
    propose(left.previous);
  }
  std::vector<int32_t> result;
  for (const Symbol &symbol : list)
    if (symbol.alive)
      result.push_back(symbol.id);
  return result;
}

} // namespace gptqc
