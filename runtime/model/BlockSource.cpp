// The choice between memory and reading again.
#include "runtime/model/BlockSource.h"

#include <unistd.h>

namespace gptqc {

BlockSource::BlockSource(const Model &model, int threads, WeightForm form, int64_t memory)
    : model(model), threads(threads), form(form) {
  if (memory == 0)
    memory = int64_t(::sysconf(_SC_AVPHYS_PAGES)) * ::sysconf(_SC_PAGESIZE) / 2;
  keeps = model.blockBytes(form) * model.config().blocks <= memory;
  blocks.resize(keeps ? size_t(model.config().blocks) : 1);
  loaded.resize(blocks.size());
}

Result<const Block *> BlockSource::get(int64_t index) {
  const size_t slot = keeps ? size_t(index) : 0;
  if (!loaded[slot] || blocks[slot].index != index) {
    loaded[slot] = false;
    blocks[slot] = Block(); // before the next one is read: memory for one block at a time
    GPTQC_ASSIGN(blocks[slot], model.loadBlock(index, threads, form));
    loaded[slot] = true;
  }
  return &blocks[slot];
}

} // namespace gptqc
