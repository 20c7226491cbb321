// PipelineLoads: the k loop's copies run `stages - 1` tiles ahead of the products.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"

#include "dialect/tile/Tile.h"

namespace gptqc {

#define GEN_PASS_DEF_PIPELINELOADS
#include "compiler/passes/Passes.h.inc"

namespace {

using mlir::Value;

bool isCopy(mlir::Operation &op) {
  return llvm::isa<tile::CopyWeightsOp, tile::CopyScalesOp, tile::CopyActivationsOp>(op);
}

/// The parts of a k loop as LowerToTile builds it: copies, commit, wait, barrier, products,
/// barrier.
struct LoadLoop {
  mlir::scf::ForOp loop;
  llvm::SmallVector<mlir::Operation *> copies;
  tile::CommitOp commit;
  tile::WaitOp wait;
  tile::BarrierOp last; ///< between the products and the next iteration's copies

  static llvm::FailureOr<LoadLoop> match(mlir::scf::ForOp loop) {
    LoadLoop found{loop, {}, {}, {}, {}};
    for (mlir::Operation &op : loop.getBody()->without_terminator()) {
      if (isCopy(op))
        found.copies.push_back(&op);
      else if (auto commit = llvm::dyn_cast<tile::CommitOp>(op))
        found.commit = commit;
      else if (auto wait = llvm::dyn_cast<tile::WaitOp>(op))
        found.wait = wait;
      else if (auto barrier = llvm::dyn_cast<tile::BarrierOp>(op))
        found.last = barrier;
    }
    if (found.copies.empty() || !found.commit || !found.wait || !found.last ||
        found.last->getNextNode() != loop.getBody()->getTerminator())
      return llvm::failure();
    return found;
  }
};

class Pipeliner {
public:
  Pipeliner(LoadLoop &found, int stageCount)
      : parts(found), loop(found.loop), stages(stageCount), builder(found.loop),
        loc(found.loop.getLoc()) {}

  void run() {
    for (mlir::Operation *copy : parts.copies)
      widen(llvm::cast<mlir::TypedValue<tile::SharedType>>(copy->getOperand(0)));
    buildPrologue();
    rewriteLoop();
  }

private:
  LoadLoop &parts;
  mlir::scf::ForOp loop;
  const int stages;
  mlir::OpBuilder builder;
  mlir::Location loc;

  Value constant(int64_t value) {
    return mlir::arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value named(Value value, llvm::StringRef name) {
    value.getDefiningOp()->setAttr(tile::TileDialect::getNameAttrName(),
                                   builder.getStringAttr(name));
    return value;
  }
  void widen(mlir::TypedValue<tile::SharedType> buffer) {
    buffer.setType(
        tile::SharedType::get(builder.getContext(), stages, buffer.getType().getBytes()));
  }
  /// Slot of a k tile: its distance from the first one, modulo the stages.
  Value slotOf(Value kTile, llvm::StringRef name) {
    Value distance = mlir::arith::SubIOp::create(builder, loc, kTile, loop.getLowerBound());
    Value count = constant(stages);
    return named(mlir::arith::RemSIOp::create(builder, loc, distance, count), name);
  }
  /// `if (kTile < last) { copies of kTile into slot }`, then commit: groups are counted, so an
  /// empty one is committed too.
  void copyAhead(Value kTile, llvm::function_ref<Value()> slot);
  void buildPrologue();
  void rewriteLoop();
};

void Pipeliner::copyAhead(Value kTile, llvm::function_ref<Value()> slot) {
  Value inside = mlir::arith::CmpIOp::create(builder, loc, mlir::arith::CmpIPredicate::slt, kTile,
                                             loop.getUpperBound());
  auto ifOp = mlir::scf::IfOp::create(builder, loc, inside, /*withElseRegion=*/false);
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(ifOp.thenBlock());
    mlir::IRMapping mapping;
    mapping.map(loop.getInductionVar(), kTile);
    mapping.map(parts.copies.front()->getOperand(1), slot());
    for (mlir::Operation *copy : parts.copies)
      builder.clone(*copy, mapping);
  }
  tile::CommitOp::create(builder, loc);
}

void Pipeliner::buildPrologue() {
  Value zero = constant(0);
  Value one = constant(1);
  Value ahead = constant(stages - 1);
  auto prologue = mlir::scf::ForOp::create(builder, loc, zero, ahead, one);
  prologue->setAttr(tile::TileDialect::getNameAttrName(), builder.getStringAttr("stage"));
  prologue->setAttr(tile::TileDialect::getUnrollAttrName(), builder.getUnitAttr());
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(prologue.getBody());
  Value stage = prologue.getInductionVar();
  Value kTile = named(mlir::arith::AddIOp::create(builder, loc, loop.getLowerBound(), stage), "kt");
  copyAhead(kTile, [&] { return stage; });
}

void Pipeliner::rewriteLoop() {
  // wait, barrier, copies ahead, commit, products: the barrier also frees the slot that the copies
  // fill.
  auto barrier = llvm::cast<tile::BarrierOp>(parts.wait->getNextNode());
  parts.wait.setPending(stages - 2);
  builder.setInsertionPointAfter(barrier);
  Value ahead = constant(stages - 1);
  Value next =
      named(mlir::arith::AddIOp::create(builder, loc, loop.getInductionVar(), ahead), "next");
  copyAhead(next, [&] { return slotOf(next, "next_stage"); });
  Value slot = slotOf(loop.getInductionVar(), "stage");

  Value oldSlot = parts.copies.front()->getOperand(1);
  for (mlir::Operation *copy : parts.copies)
    copy->erase();
  parts.commit.erase();
  parts.last.erase();
  loop.walk([&](mlir::Operation *op) {
    if (auto load = llvm::dyn_cast<tile::LoadActivationsOp>(op))
      load.getSlotMutable().assign(slot);
    else if (auto product = llvm::dyn_cast<tile::AccumulateOp>(op))
      product.getSlotMutable().assign(slot);
  });
  if (oldSlot.use_empty())
    oldSlot.getDefiningOp()->erase();
}

llvm::LogicalResult pipeline(tile::KernelOp kernel) {
  const int stages = kernel.getSchedule().getValue().stages;
  if (stages == 1)
    return llvm::success();
  for (auto loop : llvm::make_early_inc_range(kernel.getBody().getOps<mlir::scf::ForOp>())) {
    if (llvm::none_of(*loop.getBody(), isCopy))
      continue;
    llvm::FailureOr<LoadLoop> parts = LoadLoop::match(loop);
    if (llvm::failed(parts))
      return loop.emitError()
             << "is no load loop: expected copies, commit, wait, barrier, products, "
                "barrier";
    Pipeliner(*parts, stages).run();
  }
  return llvm::success();
}

struct PipelineLoadsPass : impl::PipelineLoadsBase<PipelineLoadsPass> {
  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<tile::KernelOp>())
      if (llvm::failed(pipeline(kernel)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace gptqc
