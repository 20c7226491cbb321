// LowerToTile: a scheduled gptq.linear becomes a tile.kernel that loads one k tile at a time.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"

#include "compiler/schedule/ScheduleSpace.h"
#include "compiler/schedule/TilePlan.h"
#include "dialect/gptq/Gptq.h"
#include "dialect/tile/Tile.h"

namespace gptqc {

#define GEN_PASS_DEF_LOWERTOTILE
#include "compiler/passes/Passes.h.inc"

namespace {

using mlir::Value;

/// Builds the body of one kernel at the builder's insertion point.
class KernelBuilder {
public:
  KernelBuilder(mlir::OpBuilder &opBuilder, mlir::Location location, const Descriptor &descriptor,
                const Schedule &chosen)
      : builder(opBuilder), loc(location), grouped(descriptor.grouped()), schedule(chosen),
        plan(TilePlan::of(descriptor, chosen)) {}

  void buildMma();
  void buildSimt();
  void buildGemv();
  void buildGemvRows();
  void buildWgmma();

private:
  mlir::OpBuilder &builder;
  mlir::Location loc;
  const bool grouped;
  const Schedule schedule;
  const TilePlan plan;
  Value rows, tokens, firstTile, lastTile; ///< where the block stands

  Value constant(int64_t value) {
    return mlir::arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value shared(tile::Role role, int64_t bytes, int64_t slots = 1) {
    auto type = tile::SharedType::get(builder.getContext(), slots, bytes);
    return tile::SharedOp::create(builder, loc, type, role, mlir::IntegerAttr());
  }
  tile::RegistersType registers(llvm::ArrayRef<int64_t> shape, mlir::Type element) {
    return tile::RegistersType::get(builder.getContext(), shape, element);
  }
  mlir::scf::ForOp loop(Value first, Value last, Value step, llvm::StringRef name,
                        mlir::Attribute unroll = {}) {
    auto forOp = mlir::scf::ForOp::create(builder, loc, first, last, step);
    forOp->setAttr(tile::TileDialect::getNameAttrName(), builder.getStringAttr(name));
    if (unroll)
      forOp->setAttr(tile::TileDialect::getUnrollAttrName(), unroll);
    return forOp;
  }
  void placeBlock();
  mlir::scf::ForOp itemLoop(Value last);
  void roleBarrier();
  void buildStreaming(Value rings, Value slices, Value mailbox);
  void buildReducing(Value mailbox, Value meeting);
  void multiplyUnits(Value stream, Value slice, Value exchange, Value sums);
  void multiplyStage(Value weights, Value scales, Value activations, Value sums, Value slot,
                     Value kTile);
};

void KernelBuilder::placeBlock() {
  mlir::Type index = builder.getIndexType();
  rows = tile::BlockIndexOp::create(builder, loc, index, tile::Axis::Rows);
  tokens = tile::BlockIndexOp::create(builder, loc, index, tile::Axis::Tokens);
  if (grouped) { // whose rows are known behind the kernels in front
    tile::AwaitPredecessorsOp::create(builder, loc);
    tokens = tile::EnterExpertOp::create(builder, loc, index, tokens);
  }
  Value split = tile::BlockIndexOp::create(builder, loc, index, tile::Axis::Split);
  firstTile = tile::FirstKTileOp::create(builder, loc, index, split);
  lastTile = tile::LastKTileOp::create(builder, loc, index, split);
  if (!grouped)
    tile::AwaitPredecessorsOp::create(builder, loc);
}

/// for steps by flush: load X fragments; for n16 tiles: dequantize, multiply, scale, add.
void KernelBuilder::multiplyStage(Value weights, Value scales, Value activations, Value sums,
                                  Value slot, Value kTile) {
  mlir::OpBuilder::InsertionGuard guard(builder);
  Value zero = constant(0);
  Value one = constant(1);
  Value steps = constant(plan.warpSteps);
  Value flush = constant(plan.flushSteps);
  // The 2- and 1-bit planes keep up to four steps in a word: their shifts are constants when four
  // steps are unrolled. More only lets ptxas hoist loads until it spills.
  auto stepLoop =
      loop(zero, steps, flush, "step", builder.getI64IntegerAttr(std::max(1, 4 / plan.flushSteps)));
  builder.setInsertionPointToStart(stepLoop.getBody());
  Value fragments = tile::LoadActivationsOp::create(
      builder, loc, registers({plan.flushSteps, plan.warpMTiles, 2}, builder.getI32Type()),
      activations, slot, stepLoop.getInductionVar());
  Value tiles = constant(plan.warpNTiles);
  auto tileLoop = loop(zero, tiles, one, "t", builder.getUnitAttr());
  builder.setInsertionPointToStart(tileLoop.getBody());
  tile::AccumulateOp::create(builder, loc, sums, fragments, weights, scales, slot,
                             tileLoop.getInductionVar(), kTile, stepLoop.getInductionVar(),
                             plan.scaleFragments ? tile::Scaling::Fragments : tile::Scaling::Sums);
}

void KernelBuilder::buildMma() {
  Value weights = shared(tile::Role::Weights, plan.weightBytes);
  Value scales = shared(tile::Role::Scales, plan.scaleBytes);
  Value activations = shared(tile::Role::Activations, plan.activationBytes);
  Value totals = shared(tile::Role::Sums, plan.sumsBytes);
  placeBlock();
  Value sums = tile::AccumulatorOp::create(
      builder, loc, registers({plan.warpNTiles, plan.warpMTiles, 4}, builder.getF32Type()));
  Value slot = constant(0);
  Value one = constant(1);
  auto kLoop = loop(firstTile, lastTile, one, "kt");
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(kLoop.getBody());
    Value kTile = kLoop.getInductionVar();
    tile::CopyWeightsOp::create(builder, loc, weights, slot, rows, kTile);
    tile::CopyScalesOp::create(builder, loc, scales, slot, rows, kTile);
    tile::CopyActivationsOp::create(builder, loc, activations, slot, tokens, kTile,
                                    schedule.xVector == 2);
    tile::CommitOp::create(builder, loc);
    tile::WaitOp::create(builder, loc, 0);
    tile::BarrierOp::create(builder, loc);
    multiplyStage(weights, scales, activations, sums, slot, kTile);
    tile::BarrierOp::create(builder, loc);
  }
  tile::ReduceWarpsOp::create(builder, loc, totals, sums);
  if (schedule.splitK > 1)
    tile::ReduceSplitKOp::create(builder, loc, totals);
  tile::StoreOp::create(builder, loc, totals, rows, tokens);
}

void KernelBuilder::buildSimt() {
  Value totals = shared(tile::Role::Sums, plan.sumsBytes);
  placeBlock();
  Value sums =
      tile::AccumulatorOp::create(builder, loc, registers({schedule.tileM}, builder.getF32Type()));
  Value one = constant(1);
  auto kLoop = loop(firstTile, lastTile, one, "kt");
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(kLoop.getBody());
    tile::SimtAccumulateOp::create(builder, loc, sums, rows, tokens, kLoop.getInductionVar());
  }
  tile::SimtCollectOp::create(builder, loc, totals, sums);
  tile::StoreOp::create(builder, loc, totals, rows, tokens);
}

/// The items of a persistent grid's cluster, up to `last`: from its first on, in steps of the grid.
mlir::scf::ForOp KernelBuilder::itemLoop(Value last) {
  mlir::Type index = builder.getIndexType();
  Value first = tile::FirstItemOp::create(builder, loc, index);
  Value step = tile::ItemStepOp::create(builder, loc, index);
  return loop(first, last, step, "item");
}

/// What separates the initialization of the barriers in shared memory from their use.
void KernelBuilder::roleBarrier() {
  if (schedule.splitK > 1)
    tile::ClusterBarrierOp::create(builder, loc);
  else
    tile::BarrierOp::create(builder, loc);
}

/// The streaming warps: for every item, for the units of the warp's slice of k, for chunks of
/// steps.
void KernelBuilder::buildStreaming(Value rings, Value slices, Value mailbox) {
  mlir::MLIRContext *context = builder.getContext();
  Value stream = tile::OpenStreamOp::create(builder, loc, tile::StreamType::get(context), rings);
  Value slice =
      tile::OpenSliceOp::create(builder, loc, tile::SliceType::get(context), slices, tokens);
  tile::StartStreamingOp::create(builder, loc, stream, slice, tokens, schedule.xVector == 2);
  roleBarrier();
  auto items = itemLoop(constant(plan.items(schedule)));
  builder.setInsertionPointToStart(items.getBody());
  Value sums = tile::AccumulatorOp::create(
      builder, loc, registers({plan.warpNTiles, plan.warpMTiles, 4}, builder.getF32Type()));
  tile::RewindOp::create(builder, loc, slice);
  Value begin = tile::FirstUnitOp::create(builder, loc, builder.getIndexType(), stream);
  Value end = tile::LastUnitOp::create(builder, loc, builder.getIndexType(), stream);
  auto units = loop(begin, end, constant(1), "unit");
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(units.getBody());
    Value slot = tile::NextUnitOp::create(builder, loc, tile::UnitType::get(context), stream);
    auto steps =
        loop(constant(0), constant(plan.warpSteps), constant(plan.flushSteps), "step",
             builder.getI64IntegerAttr(std::max({1, 4 / plan.flushSteps, schedule.unroll})));
    builder.setInsertionPointToStart(steps.getBody());
    Value fragments = tile::LoadSliceOp::create(
        builder, loc, registers({plan.flushSteps, plan.warpMTiles, 2}, builder.getI32Type()), slice,
        steps.getInductionVar());
    tile::AccumulateUnitOp::create(builder, loc, sums, fragments, slot, units.getInductionVar(),
                                   steps.getInductionVar());
    builder.setInsertionPointAfter(steps);
    tile::AdvanceOp::create(builder, loc, slice);
  }
  tile::PostOp::create(builder, loc, mailbox, sums);
}

/// The reducing warps: take the sums of every item and store it, alone or with the cluster.
void KernelBuilder::buildReducing(Value mailbox, Value meeting) {
  tile::InitializeMailboxOp::create(builder, loc, mailbox);
  if (meeting)
    tile::InitializeMeetingOp::create(builder, loc, meeting);
  roleBarrier();
  auto items = itemLoop(constant(plan.items(schedule)));
  builder.setInsertionPointToStart(items.getBody());
  Value item = items.getInductionVar();
  Value posted =
      tile::TakeOp::create(builder, loc, tile::PostedType::get(builder.getContext()), mailbox);
  if (meeting)
    tile::SendOp::create(builder, loc, meeting, posted, tokens);
  else
    tile::ReduceAndStoreOp::create(builder, loc, posted, item, tokens);
  tile::GiveBackOp::create(builder, loc, mailbox);
  if (meeting)
    tile::StoreMetOp::create(builder, loc, meeting, item, tokens);
}

void KernelBuilder::buildGemv() {
  mlir::MLIRContext *context = builder.getContext();
  Value rings =
      shared(tile::Role::Weights, plan.slotBytes, int64_t(schedule.kWarps) * schedule.stages);
  Value slices = shared(tile::Role::Activations, plan.activationBytes, schedule.kWarps);
  Value sums = shared(tile::Role::Sums, plan.sumsBytes);
  Value splits = schedule.splitK > 1 ? shared(tile::Role::Splits, plan.splitsBytes) : Value();
  tokens = tile::BlockIndexOp::create(builder, loc, builder.getIndexType(), tile::Axis::Tokens);
  Value mailbox = tile::OpenMailboxOp::create(builder, loc, tile::MailboxType::get(context), sums);
  Value meeting;
  if (splits)
    meeting = tile::OpenMeetingOp::create(builder, loc, tile::MeetingType::get(context), splits);
  auto roles = tile::SpecializeOp::create(builder, loc);
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.createBlock(&roles.getStreaming());
    buildStreaming(rings, slices, mailbox);
    builder.createBlock(&roles.getReducing());
    buildReducing(mailbox, meeting);
  }
  if (splits)
    tile::LeaveClusterOp::create(builder, loc);
}

/// The units of an item of a warp that has rows of its own, and behind half of them the sums of the
/// item before.
void KernelBuilder::multiplyUnits(Value stream, Value slice, Value exchange, Value sums) {
  mlir::OpBuilder::InsertionGuard guard(builder);
  mlir::Type index = builder.getIndexType();
  Value begin = tile::FirstUnitOp::create(builder, loc, index, stream);
  Value end = tile::LastUnitOp::create(builder, loc, index, stream);
  auto units = loop(begin, end, constant(1), "unit");
  builder.setInsertionPointToStart(units.getBody());
  Value unit = units.getInductionVar();
  tile::SettleAtOp::create(builder, loc, exchange, stream, unit, tokens);
  Value slot = tile::NextRowsOp::create(builder, loc, tile::UnitType::get(builder.getContext()),
                                        stream, slice, unit, tokens, schedule.xVector == 2);
  auto steps = loop(constant(0), constant(plan.warpSteps), constant(plan.flushSteps), "step",
                    builder.getI64IntegerAttr(std::max(1, 4 / plan.flushSteps)));
  {
    mlir::OpBuilder::InsertionGuard inner(builder);
    builder.setInsertionPointToStart(steps.getBody());
    tile::AccumulateRowsOp::create(builder, loc, sums, slice, slot, unit, steps.getInductionVar(),
                                   plan.flushSteps);
  }
  tile::AdvanceOp::create(builder, loc, slice);
}

/// gemv with its warps along rows: every warp does the same, with rows and a part of k of its own.
void KernelBuilder::buildGemvRows() {
  mlir::MLIRContext *context = builder.getContext();
  mlir::Type index = builder.getIndexType();
  Value rings =
      shared(tile::Role::Weights, plan.slotBytes, int64_t(schedule.warps) * schedule.stages);
  Value shares = shared(tile::Role::Activations, plan.activationBytes, schedule.kWarps);
  Value boxes = shared(tile::Role::Splits, plan.splitsBytes);
  tokens = tile::BlockIndexOp::create(builder, loc, index, tile::Axis::Tokens);
  Value stream = tile::OpenStreamOp::create(builder, loc, tile::StreamType::get(context), rings);
  Value slice = tile::OpenShareOp::create(builder, loc, tile::SliceType::get(context), shares);
  Value exchange =
      tile::OpenExchangeOp::create(builder, loc, tile::ExchangeType::get(context), boxes);
  tile::StartRowsOp::create(builder, loc, stream, slice, exchange, tokens, schedule.xVector == 2);
  Value first = tile::FirstRowsOp::create(builder, loc, index, stream);
  Value step = tile::RowsStepOp::create(builder, loc, index, stream);
  auto items = loop(first, constant(plan.items(schedule)), step, "item");
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(items.getBody());
    Value sums = tile::AccumulatorOp::create(
        builder, loc, registers({plan.warpNTiles, plan.warpMTiles, 4}, builder.getF32Type()));
    tile::RewindOp::create(builder, loc, slice);
    multiplyUnits(stream, slice, exchange, sums);
    tile::SendRowsOp::create(builder, loc, exchange, sums, items.getInductionVar(), tokens);
  }
  tile::SettleOp::create(builder, loc, exchange, tokens);
}

void KernelBuilder::buildWgmma() {
  mlir::MLIRContext *context = builder.getContext();
  mlir::Type index = builder.getIndexType();
  Value rings = shared(tile::Role::Rings, plan.sharedBytes);
  auto roles = tile::SplitWarpgroupsOp::create(builder, loc);
  {
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.createBlock(&roles.getFeeding());
    tile::FeedOp::create(builder, loc, rings);
    builder.createBlock(&roles.getMultiplying());
    Value consumer =
        tile::OpenConsumerOp::create(builder, loc, tile::ConsumerType::get(context), rings);
    auto items = itemLoop(tile::LastItemOp::create(builder, loc, index));
    builder.setInsertionPointToStart(items.getBody());
    Value sums = tile::AccumulatorOp::create(
        builder, loc, registers({plan.warpNTiles, schedule.tileM / 2}, builder.getF32Type()));
    tile::StartItemOp::create(builder, loc, consumer);
    Value firstRound = tile::FirstRoundOp::create(builder, loc, index, consumer);
    Value lastRound = tile::LastRoundOp::create(builder, loc, index, consumer);
    auto rounds = loop(firstRound, lastRound, constant(1), "kt");
    builder.setInsertionPointToStart(rounds.getBody());
    tile::MultiplyRoundOp::create(builder, loc, consumer, sums, rounds.getInductionVar());
    builder.setInsertionPointAfter(rounds);
    tile::FinishItemOp::create(builder, loc, consumer, sums);
    tile::StoreItemOp::create(builder, loc, consumer, sums, rings, items.getInductionVar());
  }
  if (schedule.splitK * schedule.multicast > 1)
    tile::LeaveClusterOp::create(builder, loc);
}

llvm::LogicalResult lower(gptq::LinearOp op) {
  auto function = op->getParentOfType<mlir::func::FuncOp>();
  if (!function)
    return op.emitOpError() << "must be in a func.func, whose name the kernel takes";
  if (!op.getSchedule())
    return op.emitOpError() << "has no schedule; run gptqc-assign-schedule first";
  const Descriptor descriptor = op.getDescriptor().getValue();
  const Schedule schedule = op.getSchedule()->getValue();
  const Status legal = ScheduleSpace::check(descriptor, op.getTarget()->getValue(), schedule);
  if (!legal.ok())
    return op.emitOpError() << legal.message();

  mlir::OpBuilder builder(function);
  auto kernel = tile::KernelOp::create(builder, op.getLoc(), function.getSymNameAttr(),
                                       op.getDescriptorAttr(), op.getTargetAttr(),
                                       op.getScheduleAttr(), mlir::IntegerAttr());
  builder.createBlock(&kernel.getBody());
  KernelBuilder body(builder, op.getLoc(), descriptor, schedule);
  if (schedule.family == Family::Simt)
    body.buildSimt();
  else if (schedule.alongRows())
    body.buildGemvRows();
  else if (schedule.family == Family::Gemv)
    body.buildGemv();
  else if (schedule.family == Family::Wgmma)
    body.buildWgmma();
  else
    body.buildMma();
  function.erase();
  return llvm::success();
}

struct LowerToTilePass : impl::LowerToTileBase<LowerToTilePass> {
  void runOnOperation() override {
    llvm::SmallVector<gptq::LinearOp> layers;
    getOperation()->walk([&](gptq::LinearOp op) { layers.push_back(op); });
    for (gptq::LinearOp op : layers)
      if (llvm::failed(lower(op)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace gptqc
