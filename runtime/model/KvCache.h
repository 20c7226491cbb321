// Keys and values of the tokens so far, for generation.
#ifndef GPTQC_RUNTIME_MODEL_KVCACHE_H
#define GPTQC_RUNTIME_MODEL_KVCACHE_H

#include <algorithm>
#include <vector>

#include "runtime/cpu/Matrix.h"
#include "runtime/model/ModelConfig.h"

namespace gptqc {

/// One sequence. Keys are stored rotated. Not thread-safe.
class KvCache {
public:
  /// Room for `capacity` tokens.
  KvCache(const ModelConfig &config, int64_t capacity)
      : keys(size_t(config.blocks), Matrix(capacity, config.kvHeads * config.headDim)),
        values(keys), capacity(capacity) {}

  int64_t length() const { return tokens; }
  int64_t room() const { return capacity - tokens; }

  /// Puts the rows of k and v behind the tokens so far; all keys and values of the block in return.
  /// The length grows only with advance(), after the last block.
  std::pair<MatrixRef<const float>, MatrixRef<const float>>
  append(int64_t block, MatrixRef<const float> k, MatrixRef<const float> v) {
    const auto put = [&](Matrix &all, MatrixRef<const float> rows) -> MatrixRef<const float> {
      for (int64_t i = 0; i < rows.rows; ++i)
        std::copy_n(rows.row(i), rows.columns, all.ref().row(tokens + i));
      return all.ref().block(0, 0, tokens + rows.rows, all.columns);
    };
    return {put(keys[size_t(block)], k), put(values[size_t(block)], v)};
  }
  void advance(int64_t count) { tokens += count; }

private:
  std::vector<Matrix> keys, values; ///< by block
  int64_t capacity = 0, tokens = 0;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_KVCACHE_H
