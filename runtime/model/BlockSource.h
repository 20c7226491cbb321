// Blocks of a model, kept in memory where they all fit, else read each time.
#ifndef GPTQC_RUNTIME_MODEL_BLOCKSOURCE_H
#define GPTQC_RUNTIME_MODEL_BLOCKSOURCE_H

#include <vector>

#include "runtime/model/Model.h"

namespace gptqc {

/// Borrows the model; one thread at a time.
class BlockSource {
public:
  /// `memory`: bytes that the blocks may take; 0: half of what is free.
  BlockSource(const Model &model, int threads, WeightForm form = WeightForm::Dense,
              int64_t memory = 0);

  /// Valid until the next call where not all blocks fit; else as long as this object.
  Result<const Block *> get(int64_t index);

  bool keepsAll() const { return keeps; }

private:
  const Model &model;
  int threads;
  WeightForm form;
  bool keeps = false;
  std::vector<Block> blocks; ///< all, or the last one
  std::vector<bool> loaded;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_BLOCKSOURCE_H
