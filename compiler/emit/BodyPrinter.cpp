// The ops that all families share, and those of mma and simt.
#include "compiler/emit/BodyPrinter.h"

#include <algorithm>

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/ErrorHandling.h"

namespace gptqc {

using mlir::Value;

void BodyPrinter::printBlock(mlir::Block &block) {
  scopes.emplace_back();
  for (mlir::Operation &op : block)
    print(&op);
  scopes.pop_back();
}

std::string BodyPrinter::declare(Value value, llvm::StringRef wanted) {
  const auto taken = [&](const std::string &name) {
    return std::any_of(scopes.begin(), scopes.end(),
                       [&](const std::set<std::string> &scope) { return scope.count(name); });
  };
  std::string name = wanted.str();
  for (int i = 2; taken(name); ++i)
    name = fmt::format("{}_{}", wanted.str(), i);
  scopes.back().insert(name);
  expressions[value] = {name, false};
  return name;
}

std::string BodyPrinter::slot(mlir::TypedValue<tile::SharedType> buffer, Value index) const {
  const tile::SharedType type = buffer.getType();
  if (type.getSlots() == 1)
    return whole(buffer);
  return fmt::format("{} + {} * {}", whole(buffer), operand(index), type.getBytes());
}

std::string BodyPrinter::array(tile::RegistersType type) {
  std::string result;
  for (int64_t size : type.getShape())
    result += fmt::format("[{}]", size);
  return result;
}

void BodyPrinter::printBinary(mlir::Operation *op, llvm::StringRef symbol) {
  const std::string value =
      fmt::format("{} {} {}", operand(op->getOperand(0)), symbol.str(), operand(op->getOperand(1)));
  auto name = op->getAttrOfType<mlir::StringAttr>(tile::TileDialect::getNameAttrName());
  if (!name) {
    expressions[op->getResult(0)] = {value, true};
    return;
  }
  const std::string variable = declare(op->getResult(0), name.getValue());
  line("const int {} = {};", variable, value);
}

void BodyPrinter::printFor(mlir::scf::ForOp op) {
  const mlir::Attribute unroll = op->getAttr(tile::TileDialect::getUnrollAttrName());
  if (auto factor = llvm::dyn_cast_or_null<mlir::IntegerAttr>(unroll))
    line("#pragma unroll {}", factor.getInt());
  else if (unroll)
    line("#pragma unroll");
  scopes.emplace_back();
  const std::string i =
      declare(op.getInductionVar(),
              op->getAttrOfType<mlir::StringAttr>(tile::TileDialect::getNameAttrName()).getValue());
  line("for (int {} = {}; {} < {}; {} += {}) {{", i, whole(op.getLowerBound()), i,
       operand(op.getUpperBound()), i, whole(op.getStep()));
  ++depth;
  printBlock(*op.getBody());
  --depth;
  line("}}");
  scopes.pop_back();
}

void BodyPrinter::printIf(mlir::scf::IfOp op) {
  line("if ({}) {{", whole(op.getCondition()));
  ++depth;
  printBlock(*op.thenBlock());
  --depth;
  line("}}");
}

void BodyPrinter::print(tile::BlockIndexOp op) {
  switch (op.getAxis()) {
  case tile::Axis::Rows:
    return line("const int {} = blockIdx.x;", declare(op.getIndex(), "block_n"));
  case tile::Axis::Tokens:
    return line("const int {} = blockIdx.y;", declare(op.getIndex(), "block_m"));
  case tile::Axis::Split:
    return line("const int {} = blockIdx.z;", declare(op.getIndex(), "split"));
  }
}

void BodyPrinter::print(tile::EnterExpertOp op) {
  const std::string index = whole(op.getIndex());
  const std::string name = declare(op.getTile(), "expert_m");
  line("gptqc::linear_args args = all_experts;");
  call("gptqc/experts.cuh", "const int {} = enter_expert<layer, tile>(args, {});", name, index);
  line("if ({} < 0)", name);
  line("  return;");
}

void BodyPrinter::print(tile::SharedOp op) {
  const tile::SharedType type = op.getType();
  const std::string name = declare(op.getBuffer(), tile::stringifyRole(op.getRole()));
  if (op.getRole() == tile::Role::Sums || op.getRole() == tile::Role::Splits)
    line("float *const {} = (float *)(shared + {}); // {} bytes", name, *op.getOffset(),
         type.getBytes());
  else
    line("u8 *const {} = shared + {}; // [{}][{}]", name, *op.getOffset(), type.getSlots(),
         type.getBytes());
}

void BodyPrinter::print(tile::AccumulateOp op) {
  headers.insert("gptqc/accumulate.cuh");
  const bool inSums = op.getScaling() == tile::Scaling::Sums;
  line("{}<layer, tile, {}>({}[{}], {}, {}, {}, {}, {}, {});",
       inSums ? "accumulate_scaled" : "accumulate_fragments",
       op.getFragments().getType().getShape()[0], whole(op.getSums()), whole(op.getTile()),
       whole(op.getFragments()), slot(op.getWeights(), op.getSlot()),
       slot(op.getScales(), op.getSlot()), whole(op.getTile()), whole(op.getKTile()),
       whole(op.getStep()));
}

void BodyPrinter::printCopy(llvm::StringRef function, llvm::StringRef header, mlir::Operation *op) {
  headers.insert(header.str());
  auto buffer = llvm::cast<mlir::TypedValue<tile::SharedType>>(op->getOperand(0));
  line("{}<layer, tile>({}, args, {}, {});", function.str(), slot(buffer, op->getOperand(1)),
       whole(op->getOperand(2)), whole(op->getOperand(3)));
}

void BodyPrinter::printKTile(mlir::Operation *op, llvm::StringRef name, llvm::StringRef function) {
  const std::string split = whole(op->getOperand(0));
  line("const int {} = {}<layer, tile>({});", declare(op->getResult(0), name), function.str(),
       split);
}

void BodyPrinter::print(mlir::Operation *op) {
  namespace arith = mlir::arith;
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](arith::ConstantOp o) {
        const int64_t value = llvm::cast<mlir::IntegerAttr>(o.getValue()).getInt();
        expressions[o.getResult()] = {std::to_string(value), false};
      })
      .Case([&](arith::AddIOp o) { printBinary(o, "+"); })
      .Case([&](arith::SubIOp o) { printBinary(o, "-"); })
      .Case([&](arith::MulIOp o) { printBinary(o, "*"); })
      .Case([&](arith::RemSIOp o) { printBinary(o, "%"); })
      .Case([&](arith::CmpIOp o) { printBinary(o, "<"); })
      .Case([&](mlir::scf::ForOp o) { printFor(o); })
      .Case([&](mlir::scf::IfOp o) { printIf(o); })
      .Case([&](mlir::scf::YieldOp) {})
      .Case<tile::BlockIndexOp, tile::EnterExpertOp, tile::SharedOp, tile::AccumulateOp>(
          [&](auto o) { print(o); })
      .Case([&](tile::FirstKTileOp o) { printKTile(o, "k_begin", "first_k_tile"); })
      .Case([&](tile::LastKTileOp o) { printKTile(o, "k_end", "last_k_tile"); })
      .Case([&](tile::AccumulatorOp o) {
        line("float {}{} = {{}};", declare(o.getSums(), "acc"), array(o.getType()));
      })
      .Case([&](tile::FirstItemOp o) {
        headers.insert("gptqc/items.cuh");
        expressions[o.getItem()] = {"first_item<tile>()", false};
      })
      .Case([&](tile::ItemStepOp o) { expressions[o.getItem()] = {"item_step<tile>()", false}; })
      .Case([&](tile::ClusterBarrierOp) { call("gptqc/items.cuh", "cluster_barrier();"); })
      .Case([&](tile::LeaveClusterOp) { call("gptqc/items.cuh", "leave_cluster();"); })
      .Case<tile::OpenMeetingOp, tile::InitializeMeetingOp, tile::SendOp, tile::StoreMetOp>(
          [&](auto o) { printMeeting(o); })
      .Case<tile::SpecializeOp, tile::OpenStreamOp, tile::OpenSliceOp, tile::OpenMailboxOp,
            tile::StartStreamingOp, tile::FirstUnitOp, tile::LastUnitOp, tile::NextUnitOp,
            tile::RewindOp, tile::AdvanceOp, tile::LoadSliceOp, tile::AccumulateUnitOp,
            tile::InitializeMailboxOp, tile::PostOp, tile::TakeOp, tile::GiveBackOp,
            tile::ReduceAndStoreOp>([&](auto o) { printGemv(o); })
      .Case<tile::OpenShareOp, tile::OpenExchangeOp, tile::StartRowsOp, tile::FirstRowsOp,
            tile::RowsStepOp, tile::NextRowsOp, tile::AccumulateRowsOp, tile::SettleAtOp,
            tile::SendRowsOp, tile::SettleOp>([&](auto o) { printRows(o); })
      .Case<tile::SplitWarpgroupsOp, tile::FeedOp, tile::OpenConsumerOp, tile::LastItemOp,
            tile::FirstRoundOp, tile::LastRoundOp, tile::StartItemOp, tile::MultiplyRoundOp,
            tile::FinishItemOp, tile::StoreItemOp>([&](auto o) { printWgmma(o); })
      .Default([&](mlir::Operation *o) { printCall(o); });
}

/// The ops that print as a call without a result.
void BodyPrinter::printCall(mlir::Operation *op) {
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::CopyWeightsOp o) { printCopy("copy_weights", "gptqc/copy_weights.cuh", o); })
      .Case([&](tile::CopyScalesOp o) { printCopy("copy_scales", "gptqc/copy_weights.cuh", o); })
      .Case([&](tile::CopyActivationsOp o) {
        printCopy(o.getGather() ? "gather_activations" : "copy_activations",
                  "gptqc/copy_activations.cuh", o);
      })
      .Case([&](tile::AwaitPredecessorsOp) {
        call("gptqc/predecessors.cuh", "await_predecessors();");
      })
      .Case([&](tile::CommitOp) { call("gptqc/ptx/cp_async.cuh", "commit_copies();"); })
      .Case([&](tile::WaitOp o) {
        call("gptqc/ptx/cp_async.cuh", "wait_copies<{}>();", o.getPending());
      })
      .Case([&](tile::BarrierOp) { call("gptqc/ptx/block.cuh", "block_barrier();"); })
      .Case([&](tile::LoadActivationsOp o) {
        const std::string name = declare(o.getFragments(), "b");
        line("u32 {}{};", name, array(o.getType()));
        call("gptqc/fragment.cuh", "load_activations<layer, tile, {}>({}, {}, {});",
             o.getType().getShape()[0], name, slot(o.getBuffer(), o.getSlot()), whole(o.getStep()));
      })
      .Case([&](tile::SimtAccumulateOp o) {
        call("gptqc/simt.cuh", "simt_accumulate<layer, tile>({}, args, {}, {}, {});",
             whole(o.getSums()), whole(o.getRows()), whole(o.getTokens()), whole(o.getKTile()));
      })
      .Case([&](tile::SimtCollectOp o) {
        call("gptqc/simt.cuh", "simt_collect<layer, tile>({}, {});", whole(o.getBuffer()),
             whole(o.getSums()));
      })
      .Case([&](tile::ReduceWarpsOp o) {
        call("gptqc/reduce.cuh", "reduce_warps<layer, tile>({}, {});", whole(o.getBuffer()),
             whole(o.getSums()));
      })
      .Case([&](tile::ReduceSplitKOp o) {
        call("gptqc/reduce.cuh", "if (!reduce_split_k<layer, tile>({}, args))",
             whole(o.getBuffer()));
        line("  return;");
      })
      .Case([&](tile::StoreOp o) {
        call("gptqc/epilogue.cuh", "store_tile<layer, tile>(args, {}, {}, {});",
             whole(o.getBuffer()), whole(o.getRows()), whole(o.getTokens()));
      })
      .Default(
          [](mlir::Operation *) { llvm_unreachable("VerifyEmittable lets no other op pass"); });
}

} // namespace gptqc
