// A tile of queries at a time: all their scores, softmax, times the values.
#include "runtime/model/Attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/core/Parallel.h"
#include "runtime/cpu/BuiltinGemm.h"
#include "runtime/model/Softmax.h"

namespace gptqc {
namespace {

constexpr int64_t kQueryTile = 64;

/// Scores [begin, end) of a row become probabilities, the others 0.
void softmaxRow(float *scores, int64_t count, int64_t begin, int64_t end) {
  float *seen = scores + begin;
  const double sum = exponentiate(seen, end - begin, largestOf(seen, end - begin));
  const float inverse = float(1 / sum);
  for (int64_t i = begin; i < end; ++i)
    scores[i] *= inverse;
  std::fill(scores, scores + begin, 0.0f);
  std::fill(scores + end, scores + count, 0.0f);
}

} // namespace

void causalAttention(const AttentionShape &shape, MatrixRef<const float> q,
                     MatrixRef<const float> k, MatrixRef<const float> v, MatrixRef<float> out,
                     int threads) {
  const int64_t tiles = (q.rows + kQueryTile - 1) / kQueryTile, offset = k.rows - q.rows;
  const int64_t d = shape.headDim, sharing = shape.heads / shape.kvHeads;
  const float scale = 1 / std::sqrt(float(d));
  std::vector<std::vector<float>> scratch{size_t(threads)};
  const auto firstKey = [&](int64_t query) {
    return shape.window > 0 ? std::max<int64_t>(0, offset + query + 1 - shape.window) : 0;
  };
  parallelFor(tiles * shape.heads, threads, [&](int64_t task, int worker) {
    // The last tiles see the most keys; they come first.
    const int64_t head = task % shape.heads, tile = tiles - 1 - task / shape.heads;
    const int64_t row = tile * kQueryTile, rows = std::min(kQueryTile, q.rows - row);
    const int64_t begin = firstKey(row), keys = offset + row + rows - begin;
    const int64_t kvColumn = head / sharing * d;
    std::vector<float> &memory = scratch[size_t(worker)];
    memory.resize(size_t(rows * keys));
    const MatrixRef<float> scores(memory.data(), rows, keys);
    builtinGemm<float>(scale, q.block(row, head * d, rows, d), Transpose::No,
                       k.block(begin, kvColumn, keys, d), Transpose::Yes, 0.0f, scores, 1);
    for (int64_t i = 0; i < rows; ++i)
      softmaxRow(scores.row(i), keys, firstKey(row + i) - begin, offset + row + i + 1 - begin);
    builtinGemm<float>(1.0f, scores, Transpose::No, v.block(begin, kvColumn, keys, d),
                       Transpose::No, 0.0f, out.block(row, head * d, rows, d), 1);
  });
}

} // namespace gptqc
