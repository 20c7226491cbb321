// VerifyEmittable: what passes here, the emitter prints without a decision or a failure.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"

#include "dialect/tile/Tile.h"

namespace gptqc {

#define GEN_PASS_DEF_VERIFYEMITTABLE
#include "compiler/passes/Passes.h.inc"

namespace {

bool isArithmetic(mlir::Operation *op) {
  return llvm::isa<mlir::arith::ConstantIndexOp, mlir::arith::AddIOp, mlir::arith::SubIOp,
                   mlir::arith::MulIOp, mlir::arith::RemSIOp>(op);
}

llvm::LogicalResult verifyOp(mlir::Operation *op) {
  if (auto shared = llvm::dyn_cast<tile::SharedOp>(op)) {
    if (!shared.getOffset())
      return shared.emitOpError() << "has no offset; run gptqc-plan-shared-memory first";
    return llvm::success();
  }
  if (auto loop = llvm::dyn_cast<mlir::scf::ForOp>(op)) {
    if (loop.getNumResults() != 0 || !loop->hasAttr(tile::TileDialect::getNameAttrName()))
      return loop.emitOpError() << "needs a tile.name for its counter and no results";
    return llvm::success();
  }
  if (auto branch = llvm::dyn_cast<mlir::scf::IfOp>(op)) {
    if (branch.getNumResults() != 0 || branch.elseBlock())
      return branch.emitOpError() << "must have neither results nor an else branch";
    return llvm::success();
  }
  if (auto compare = llvm::dyn_cast<mlir::arith::CmpIOp>(op)) {
    if (compare.getPredicate() != mlir::arith::CmpIPredicate::slt)
      return compare.emitOpError() << "only slt is emitted";
    return llvm::success();
  }
  if (isArithmetic(op)) {
    if (!op->getResult(0).getType().isIndex())
      return op->emitOpError() << "only index arithmetic is emitted";
    return llvm::success();
  }
  if (llvm::isa<mlir::scf::YieldOp>(op) ||
      llvm::isa_and_nonnull<tile::TileDialect>(op->getDialect()))
    return llvm::success();
  return op->emitOpError() << "has no form in CUDA C++";
}

llvm::LogicalResult verifyKernel(tile::KernelOp kernel) {
  if (!kernel.getSharedBytes())
    return kernel.emitOpError() << "has no shared_bytes; run gptqc-plan-shared-memory first";
  if (kernel.getDescriptor().getValue().grouped() &&
      kernel.getBody().getOps<tile::EnterExpertOp>().empty())
    return kernel.emitOpError() << "is of a grouped layer, but enters no expert";
  const mlir::WalkResult result = kernel.getBody().walk([](mlir::Operation *op) {
    return llvm::failed(verifyOp(op)) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
  });
  return llvm::failure(result.wasInterrupted());
}

struct VerifyEmittablePass : impl::VerifyEmittableBase<VerifyEmittablePass> {
  void runOnOperation() override {
    for (mlir::Operation &op : getOperation().getOps()) {
      auto kernel = llvm::dyn_cast<tile::KernelOp>(op);
      if (!kernel) {
        op.emitOpError() << "is left besides the kernels";
        return signalPassFailure();
      }
      if (llvm::failed(verifyKernel(kernel)))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace gptqc
