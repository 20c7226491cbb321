// A greedy covering array: few rows in which every legal pair of levels of two factors occurs. Test
// tiers use it where the full product of options is too large. Deterministic for a given seed.
#ifndef GPTQC_TESTS_SUPPORT_PAIRWISE_H
#define GPTQC_TESTS_SUPPORT_PAIRWISE_H

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace gptqc::fixtures {

class PairwiseCover {
public:
  using Row = std::vector<int>;
  using Filter = std::function<bool(const Row &)>;

  PairwiseCover(std::vector<int> levels, Filter allowed, uint64_t seed)
      : levelCounts(std::move(levels)), isAllowed(std::move(allowed)), random(seed) {
    size_t total = 0;
    for (int count : levelCounts) {
      offsets.push_back(total);
      total += size_t(count);
    }
    symbols = total;
    open.assign(total * total, 0);
  }

  std::vector<Row> run() {
    const int factors = int(levelCounts.size());
    if (factors < 2)
      return singleFactor();
    for (int a = 0; a < factors; ++a)
      for (int b = a + 1; b < factors; ++b)
        for (int i = 0; i < levelCounts[size_t(a)]; ++i)
          for (int j = 0; j < levelCounts[size_t(b)]; ++j)
            isOpen(a, i, b, j) = 1;
    std::vector<Row> rows;
    for (int a = 0; a < factors; ++a)
      for (int b = a + 1; b < factors; ++b)
        for (int i = 0; i < levelCounts[size_t(a)]; ++i)
          for (int j = 0; j < levelCounts[size_t(b)]; ++j)
            while (isOpen(a, i, b, j)) {
              Row row(size_t(factors), -1);
              row[size_t(a)] = i;
              row[size_t(b)] = j;
              if (!complete(row, a, b)) {
                isOpen(a, i, b, j) = 0; // no legal row holds this pair
                continue;
              }
              cover(row);
              rows.push_back(std::move(row));
            }
    return rows;
  }

private:
  std::vector<int> levelCounts;
  Filter isAllowed;
  std::mt19937_64 random;
  std::vector<size_t> offsets;
  size_t symbols = 0;
  std::vector<char> open; // [symbol of the lower factor][symbol of the higher one]

  char &isOpen(int a, int i, int b, int j) {
    if (a > b) {
      std::swap(a, b);
      std::swap(i, j);
    }
    return open[(offsets[size_t(a)] + size_t(i)) * symbols + offsets[size_t(b)] + size_t(j)];
  }

  std::vector<Row> singleFactor() {
    std::vector<Row> rows;
    if (!levelCounts.empty())
      for (int i = 0; i < levelCounts[0]; ++i)
        if (isAllowed({i}))
          rows.push_back({i});
    return rows;
  }

  int gain(const Row &row, int factor, int level) {
    int count = 0;
    for (int other = 0; other < int(row.size()); ++other)
      if (other != factor && row[size_t(other)] >= 0)
        count += isOpen(factor, level, other, row[size_t(other)]);
    return count;
  }

  int totalGain(const Row &row) {
    int count = 0;
    for (int factor = 0; factor < int(row.size()); ++factor)
      count += gain(row, factor, row[size_t(factor)]);
    return count / 2;
  }

  void cover(const Row &row) {
    for (int a = 0; a < int(row.size()); ++a)
      for (int b = a + 1; b < int(row.size()); ++b)
        isOpen(a, row[size_t(a)], b, row[size_t(b)]) = 0;
  }

  std::vector<int> freeFactors(const Row &row) {
    std::vector<int> order;
    for (int factor = 0; factor < int(row.size()); ++factor)
      if (row[size_t(factor)] < 0)
        order.push_back(factor);
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[random() % i]);
    return order;
  }

  /// Sets the open factors one after the other to the level that covers most; then, when that row
  /// is not allowed, looks for the best allowed row one change away.
  bool greedy(Row &row) {
    const std::vector<int> order = freeFactors(row);
    for (int factor : order) {
      const int count = levelCounts[size_t(factor)];
      const int start = int(random() % uint64_t(count));
      int best = start, bestGain = -1;
      for (int step = 0; step < count; ++step) {
        const int level = (start + step) % count;
        const int value = gain(row, factor, level);
        if (value > bestGain) {
          bestGain = value;
          best = level;
        }
      }
      row[size_t(factor)] = best;
    }
    if (isAllowed(row))
      return true;
    Row bestRow;
    int bestGain = -1;
    for (int factor : order) {
      Row changed = row;
      for (int level = 0; level < levelCounts[size_t(factor)]; ++level) {
        changed[size_t(factor)] = level;
        if (!isAllowed(changed))
          continue;
        if (const int value = totalGain(changed); value > bestGain) {
          bestGain = value;
          bestRow = changed;
        }
      }
    }
    if (bestGain < 0)
      return false;
    row = bestRow;
    return true;
  }

  bool exhaustive(Row &row, const std::vector<int> &order, size_t depth) {
    if (depth == order.size())
      return isAllowed(row);
    for (int level = 0; level < levelCounts[size_t(order[depth])]; ++level) {
      row[size_t(order[depth])] = level;
      if (exhaustive(row, order, depth + 1))
        return true;
    }
    return false;
  }

  bool complete(Row &row, int a, int b) {
    constexpr int kCandidates = 40;
    Row best;
    int bestGain = -1;
    for (int i = 0; i < kCandidates; ++i) {
      Row candidate = row;
      if (!greedy(candidate))
        continue;
      if (const int value = totalGain(candidate); value > bestGain) {
        bestGain = value;
        best = std::move(candidate);
      }
    }
    if (bestGain >= 0) {
      row = std::move(best);
      return true;
    }
    std::vector<int> order;
    for (int factor = 0; factor < int(row.size()); ++factor)
      if (factor != a && factor != b)
        order.push_back(factor);
    return exhaustive(row, order, 0);
  }
};

/// Rows of one level index per factor (factor f has levels[f] >= 1 of them) such that every pair of
/// levels of two factors that some allowed row holds is in a row. `allowed` sees complete rows
/// only.
inline std::vector<std::vector<int>>
pairwiseCover(const std::vector<int> &levels, std::function<bool(const std::vector<int> &)> allowed,
              uint64_t seed) {
  return PairwiseCover(levels, std::move(allowed), seed).run();
}

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_SUPPORT_PAIRWISE_H
