// PlanSharedMemory: gives every buffer its offset; buffers that are not alive together may overlap.
#include "compiler/passes/Passes.h"

#include <algorithm>

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

#include "compiler/schedule/TilePlan.h"
#include "dialect/tile/Tile.h"

namespace gptqc {

#define GEN_PASS_DEF_PLANSHAREDMEMORY
#include "compiler/passes/Passes.h.inc"

namespace {

/// A buffer, and the first and last top-level op of the kernel that touches it.
struct Placement {
  tile::SharedOp op;
  int64_t bytes = 0, offset = 0;
  unsigned first = ~0u, last = 0;

  int64_t end() const { return offset + bytes; }
  bool aliveWith(const Placement &other) const {
    return first <= other.last && other.first <= last;
  }
};

int64_t align(int64_t bytes) {
  return (bytes + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
}

llvm::SmallVector<Placement> liveRanges(tile::KernelOp kernel) {
  mlir::Block &body = kernel.getBody().front();
  llvm::DenseMap<mlir::Operation *, unsigned> position;
  for (mlir::Operation &op : body)
    position[&op] = position.size();
  llvm::SmallVector<Placement> buffers;
  for (auto shared : body.getOps<tile::SharedOp>()) {
    Placement placement{shared};
    placement.bytes = align(shared.getType().getSlots() * shared.getType().getBytes());
    // What an op makes of a buffer (a stream, a mailbox) keeps it alive.
    llvm::SmallVector<mlir::Operation *> users(shared->getUsers());
    while (!users.empty()) {
      mlir::Operation *user = users.pop_back_val();
      const unsigned at = position[body.findAncestorOpInBlock(*user)];
      placement.first = std::min(placement.first, at);
      placement.last = std::max(placement.last, at);
      users.append(user->user_begin(), user->user_end());
    }
    buffers.push_back(placement);
  }
  return buffers;
}

/// First fit: the lowest offset where no buffer placed before is alive at the same time.
void place(llvm::MutableArrayRef<Placement> buffers, size_t index) {
  Placement &mine = buffers[index];
  bool moved = true;
  while (moved) {
    moved = false;
    for (const Placement &other : buffers.take_front(index))
      if (mine.aliveWith(other) && mine.offset < other.end() && other.offset < mine.end()) {
        mine.offset = other.end();
        moved = true;
      }
  }
}

llvm::LogicalResult plan(tile::KernelOp kernel) {
  llvm::SmallVector<Placement> buffers = liveRanges(kernel);
  mlir::Builder builder(kernel.getContext());
  int64_t total = 0;
  for (size_t i = 0; i < buffers.size(); ++i) {
    place(buffers, i);
    buffers[i].op.setOffsetAttr(builder.getI64IntegerAttr(buffers[i].offset));
    total = std::max(total, buffers[i].end());
  }
  kernel.setSharedBytesAttr(builder.getI64IntegerAttr(total));
  const Target target = kernel.getTarget().getValue();
  if (total > target.maxSharedMemory())
    return kernel.emitOpError() << "needs " << total << " bytes of shared memory, " << target.arch()
                                << " has " << target.maxSharedMemory()
                                << " a block; use fewer stages or a smaller tile";
  return llvm::success();
}

struct PlanSharedMemoryPass : impl::PlanSharedMemoryBase<PlanSharedMemoryPass> {
  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<tile::KernelOp>())
      if (llvm::failed(plan(kernel)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace gptqc
