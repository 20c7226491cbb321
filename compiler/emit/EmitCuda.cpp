// The printer: a banner, the includes, the facts of layer and tile, and the kernel op by op.
#include "compiler/emit/EmitCuda.h"

#include <set>
#include <vector>

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/ErrorHandling.h"

#include "compiler/emit/KernelFacts.h"

namespace gptqc {

namespace {

using mlir::Value;

/// Prints the statements of a kernel's body and notes the headers that they need.
class BodyPrinter {
public:
  std::string text;
  std::set<std::string> headers = {"gptqc/ptx/block.cuh", "gptqc/tile.cuh"};

  void printBlock(mlir::Block &block) {
    scopes.emplace_back();
    for (mlir::Operation &op : block)
      print(&op);
    scopes.pop_back();
  }

private:
  /// What stands for a value: a variable or literal, or an expression that needs parentheses as
  /// operand.
  struct Expression {
    std::string text;
    bool compound = false;
  };

  llvm::DenseMap<Value, Expression> expressions;
  std::vector<std::set<std::string>> scopes;
  int depth = 1;

  template <typename... Args> void line(fmt::format_string<Args...> format, Args &&...args) {
    text.append(size_t(depth) * 2, ' ');
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
    text += '\n';
  }

  /// `wanted`, or with a number where an enclosing scope has that name already.
  std::string declare(Value value, llvm::StringRef wanted) {
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

  const std::string &whole(Value value) const { return expressions.find(value)->second.text; }
  std::string operand(Value value) const {
    const Expression &found = expressions.find(value)->second;
    return found.compound ? "(" + found.text + ")" : found.text;
  }

  /// The address of a slot.
  std::string slot(mlir::TypedValue<tile::SharedType> buffer, Value index) const {
    const tile::SharedType type = buffer.getType();
    if (type.getSlots() == 1)
      return whole(buffer);
    return fmt::format("{} + {} * {}", whole(buffer), operand(index), type.getBytes());
  }

  static std::string array(tile::RegistersType type) {
    std::string result;
    for (int64_t size : type.getShape())
      result += fmt::format("[{}]", size);
    return result;
  }

  void printBinary(mlir::Operation *op, llvm::StringRef symbol) {
    const std::string value = fmt::format("{} {} {}", operand(op->getOperand(0)), symbol.str(),
                                          operand(op->getOperand(1)));
    auto name = op->getAttrOfType<mlir::StringAttr>(tile::TileDialect::getNameAttrName());
    if (!name) {
      expressions[op->getResult(0)] = {value, true};
      return;
    }
    const std::string variable = declare(op->getResult(0), name.getValue());
    line("const int {} = {};", variable, value);
  }

  void printFor(mlir::scf::ForOp op) {
    const mlir::Attribute unroll = op->getAttr(tile::TileDialect::getUnrollAttrName());
    if (auto factor = llvm::dyn_cast_or_null<mlir::IntegerAttr>(unroll))
      line("#pragma unroll {}", factor.getInt());
    else if (unroll)
      line("#pragma unroll");
    scopes.emplace_back();
    const std::string i = declare(
        op.getInductionVar(),
        op->getAttrOfType<mlir::StringAttr>(tile::TileDialect::getNameAttrName()).getValue());
    line("for (int {} = {}; {} < {}; {} += {}) {{", i, whole(op.getLowerBound()), i,
         operand(op.getUpperBound()), i, whole(op.getStep()));
    ++depth;
    printBlock(*op.getBody());
    --depth;
    line("}}");
    scopes.pop_back();
  }

  void printIf(mlir::scf::IfOp op) {
    line("if ({}) {{", whole(op.getCondition()));
    ++depth;
    printBlock(*op.thenBlock());
    --depth;
    line("}}");
  }

  /// A line that needs a header.
  template <typename... Args>
  void call(const char *header, fmt::format_string<Args...> format, Args &&...args) {
    headers.insert(header);
    line(format, std::forward<Args>(args)...);
  }

  void print(mlir::Operation *op);
  void printCall(mlir::Operation *op);
  void printGemv(mlir::Operation *op);
  void printState(mlir::Operation *op);
  void printMeeting(mlir::Operation *op);
  void print(tile::SpecializeOp op);
  void print(tile::BlockIndexOp op);
  void print(tile::SharedOp op);
  void print(tile::AccumulateOp op);
  void printCopy(llvm::StringRef function, llvm::StringRef header, mlir::Operation *op);
  void printKTile(mlir::Operation *op, llvm::StringRef name, llvm::StringRef function);
};

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
      .Case<tile::BlockIndexOp, tile::SharedOp, tile::AccumulateOp>([&](auto o) { print(o); })
      .Case([&](tile::FirstKTileOp o) { printKTile(o, "k_begin", "first_k_tile"); })
      .Case([&](tile::LastKTileOp o) { printKTile(o, "k_end", "last_k_tile"); })
      .Case([&](tile::AccumulatorOp o) {
        line("float {}{} = {{}};", declare(o.getSums(), "acc"), array(o.getType()));
      })
      .Case([&](tile::FirstItemOp o) { expressions[o.getItem()] = {"first_item<tile>()", false}; })
      .Case([&](tile::ItemStepOp o) { expressions[o.getItem()] = {"item_step<tile>()", false}; })
      .Case([&](tile::ClusterBarrierOp) { call("gptqc/meeting.cuh", "cluster_barrier();"); })
      .Case<tile::OpenMeetingOp, tile::InitializeMeetingOp, tile::SendOp, tile::StoreMetOp>(
          [&](auto o) { printMeeting(o); })
      .Case<tile::SpecializeOp, tile::OpenStreamOp, tile::OpenSliceOp, tile::OpenMailboxOp,
            tile::StartStreamingOp, tile::FirstUnitOp, tile::LastUnitOp, tile::NextUnitOp,
            tile::RewindOp, tile::AdvanceOp, tile::LoadSliceOp, tile::AccumulateUnitOp,
            tile::InitializeMailboxOp, tile::PostOp, tile::TakeOp, tile::GiveBackOp,
            tile::ReduceAndStoreOp>([&](auto o) { printGemv(o); })
      .Default([&](mlir::Operation *o) { printCall(o); });
}

void BodyPrinter::print(tile::SpecializeOp op) {
  line("if (is_streaming_warp<tile>()) {{");
  ++depth;
  printBlock(op.getStreaming().front());
  --depth;
  line("}} else {{");
  ++depth;
  printBlock(op.getReducing().front());
  --depth;
  line("}}");
}

/// The ops that declare an object of the gemv family, or name a part of one.
void BodyPrinter::printState(mlir::Operation *op) {
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::OpenStreamOp o) {
        const std::string rings = whole(o.getRings());
        line("weight_stream<layer, tile> {}({}, args);", declare(o.getStream(), "stream"), rings);
      })
      .Case([&](tile::OpenSliceOp o) {
        const std::string slices = whole(o.getSlices()), tokens = whole(o.getTokens());
        line("x_slice<layer, tile> {}({}, args, {});", declare(o.getSlice(), "slice"), slices,
             tokens);
      })
      .Case([&](tile::OpenMailboxOp o) {
        const std::string buffer = whole(o.getBuffer());
        line("sums_mailbox<layer, tile> {}({});", declare(o.getMailbox(), "mailbox"), buffer);
      })
      .Case([&](tile::FirstUnitOp o) {
        expressions[o.getUnit()] = {whole(o.getStream()) + ".range.begin", false};
      })
      .Case([&](tile::LastUnitOp o) {
        expressions[o.getUnit()] = {whole(o.getStream()) + ".range.end", false};
      })
      .Case([&](tile::NextUnitOp o) {
        const std::string stream = whole(o.getStream());
        line("const u8 *const {} = {}.next(args);", declare(o.getUnit(), "slot"), stream);
      })
      .Case([&](tile::TakeOp o) {
        const std::string mailbox = whole(o.getMailbox());
        line("const float *const {} = {}.take();", declare(o.getPosted(), "posted"), mailbox);
      })
      .Case([&](tile::LoadSliceOp o) {
        const std::string name = declare(o.getFragments(), "b");
        line("u32 {}{};", name, array(o.getType()));
        line("{}.load<{}>({}, {});", whole(o.getSlice()), o.getType().getShape()[0], name,
             whole(o.getStep()));
      })
      .Case([&](tile::SpecializeOp o) { print(o); });
}

void BodyPrinter::printMeeting(mlir::Operation *op) {
  headers.insert("gptqc/meeting.cuh");
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::OpenMeetingOp o) {
        const std::string buffer = whole(o.getBuffer());
        line("splits_meeting<layer, tile> {}({});", declare(o.getMeeting(), "meeting"), buffer);
      })
      .Case([&](tile::InitializeMeetingOp o) { line("{}.initialize();", whole(o.getMeeting())); })
      .Case([&](tile::SendOp o) {
        line("{}.send(args, {}, {});", whole(o.getMeeting()), whole(o.getPosted()),
             whole(o.getTokens()));
      })
      .Case([&](tile::StoreMetOp o) {
        line("{}.store(args, {}, {});", whole(o.getMeeting()), whole(o.getItem()),
             whole(o.getTokens()));
      });
}

void BodyPrinter::printGemv(mlir::Operation *op) {
  headers.insert("gptqc/gemv.cuh");
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::StartStreamingOp o) {
        line("start_streaming<{}>({}, {}, args, {});", o.getGather(), whole(o.getStream()),
             whole(o.getSlice()), whole(o.getTokens()));
      })
      .Case([&](tile::RewindOp o) { line("{}.rewind();", whole(o.getSlice())); })
      .Case([&](tile::AdvanceOp o) { line("{}.advance();", whole(o.getSlice())); })
      .Case([&](tile::AccumulateUnitOp o) {
        line("accumulate_unit<layer, tile, {}>({}, {}, {}, {}, {});",
             o.getFragments().getType().getShape()[0], whole(o.getSums()), whole(o.getFragments()),
             whole(o.getSlot()), whole(o.getUnit()), whole(o.getStep()));
      })
      .Case([&](tile::InitializeMailboxOp o) { line("{}.initialize();", whole(o.getMailbox())); })
      .Case(
          [&](tile::PostOp o) { line("{}.post({});", whole(o.getMailbox()), whole(o.getSums())); })
      .Case([&](tile::GiveBackOp o) { line("{}.give_back();", whole(o.getMailbox())); })
      .Case([&](tile::ReduceAndStoreOp o) {
        line("reduce_and_store<layer, tile>(args, {}, {}, {});", whole(o.getPosted()),
             whole(o.getItem()), whole(o.getTokens()));
      })
      .Default([&](mlir::Operation *o) { printState(o); });
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

} // namespace

EmittedKernel emitCuda(tile::KernelOp kernel) {
  BodyPrinter body;
  body.printBlock(kernel.getBody().front());
  const Descriptor descriptor = kernel.getDescriptor().getValue();
  const Schedule schedule = kernel.getSchedule().getValue();

  EmittedKernel result;
  std::string &source = result.source;
  source = fmt::format("// {}\n// {}\n// {}\n", descriptor.print(),
                       kernel.getTarget().getValue().print(), schedule.print());
  for (const std::string &header : body.headers)
    source += fmt::format("#include \"{}\"\n", header);
  source += "\nnamespace {\n\n" + layerFacts(descriptor) + "\n" + tileFacts(descriptor, schedule) +
            "\n} // namespace\n\n";
  result.launch = launchFacts(descriptor, schedule);
  const std::string cluster =
      result.launch.cluster > 1 ? fmt::format(" __cluster_dims__({}, 1, 1)", result.launch.cluster)
                                : "";
  source += fmt::format("extern \"C\" __global__ void __launch_bounds__({}, 1){}\n"
                        "{}(const __grid_constant__ gptqc::linear_args args) {{\n"
                        "  using namespace gptqc;\n"
                        "  GPTQC_SHARED_MEMORY(shared);\n",
                        schedule.threads(), cluster, kernel.getSymName().str());
  source += body.text + "}\n";
  result.launch.entry = kernel.getSymName().str();
  result.launch.sharedBytes = int64_t(*kernel.getSharedBytes());
  return result;
}

} // namespace gptqc
