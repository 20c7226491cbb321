// Verifiers of the tile ops; labels name the constraints of dialect/README.md.
#include "dialect/tile/Tile.h"

#include <array>

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/Support/MathExtras.h"

#define GET_OP_CLASSES
#include "dialect/tile/TileOps.cpp.inc"

namespace gptqc::tile {

namespace {

constexpr int64_t kSharedAlignment = 128;

bool isArray(RegistersType type, unsigned rank, int64_t last, bool isFloat) {
  return type.getShape().size() == rank && type.getShape().back() == last &&
         type.getElement().isF32() == isFloat;
}

/// Two regions behind their names. The state owns them before they are parsed, unlike in a declared
/// format: if the rest does not parse, uses of their values elsewhere are dropped with them.
mlir::ParseResult parseParts(mlir::OpAsmParser &parser, mlir::OperationState &state,
                             std::array<llvm::StringRef, 2> names) {
  for (const llvm::StringRef name : names) {
    mlir::Region &part = *state.addRegion();
    if (parser.parseKeyword(name) || parser.parseRegion(part))
      return mlir::failure();
    if (part.empty())
      part.emplaceBlock();
  }
  return parser.parseOptionalAttrDict(state.attributes);
}

void printParts(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                std::array<llvm::StringRef, 2> names) {
  for (unsigned i = 0; i < names.size(); ++i) {
    printer << ' ' << names[i] << ' ';
    printer.printRegion(op->getRegion(i));
  }
  printer.printOptionalAttrDict(op->getAttrs());
}

constexpr std::array<llvm::StringRef, 2> kSpecializeParts = {"streaming", "reducing"};
constexpr std::array<llvm::StringRef, 2> kWarpgroupParts = {"feeding", "multiplying"};

} // namespace

mlir::ParseResult SpecializeOp::parse(mlir::OpAsmParser &parser, mlir::OperationState &state) {
  return parseParts(parser, state, kSpecializeParts);
}

void SpecializeOp::print(mlir::OpAsmPrinter &printer) {
  printParts(printer, *this, kSpecializeParts);
}

mlir::ParseResult SplitWarpgroupsOp::parse(mlir::OpAsmParser &parser, mlir::OperationState &state) {
  return parseParts(parser, state, kWarpgroupParts);
}

void SplitWarpgroupsOp::print(mlir::OpAsmPrinter &printer) {
  printParts(printer, *this, kWarpgroupParts);
}

llvm::LogicalResult KernelOp::verify() {
  if (!getSharedBytes())
    return llvm::success();
  for (auto shared : getBody().getOps<SharedOp>()) { /*kernel_c1*/
    const SharedType type = shared.getType();
    const int64_t end = int64_t(shared.getOffset().value_or(0)) + type.getSlots() * type.getBytes();
    if (!shared.getOffset() || end > int64_t(*getSharedBytes()))
      return emitOpError() << "shared_bytes is set, but the buffer of "
                           << stringifyRole(shared.getRole()) << " is not placed inside";
  }
  return llvm::success();
}

llvm::LogicalResult EnterExpertOp::verify() {
  auto kernel = llvm::dyn_cast<KernelOp>((*this)->getParentOp());
  if (!kernel || !kernel.getDescriptor().getValue().grouped() ||
      llvm::range_size(kernel.getBody().getOps<EnterExpertOp>()) != 1) /*enter_expert_c1*/
    return emitOpError() << "belongs once and directly into a tile.kernel of a grouped layer";
  return llvm::success();
}

llvm::LogicalResult SharedOp::verify() {
  if (getOffset() && *getOffset() % kSharedAlignment != 0) /*shared_c1*/
    return emitOpError() << "the offset must be a multiple of " << kSharedAlignment;
  auto kernel = llvm::dyn_cast<KernelOp>((*this)->getParentOp());
  if (!kernel) /*shared_c2*/
    return emitOpError() << "belongs directly into a tile.kernel";
  for (auto other : kernel.getBody().getOps<SharedOp>()) /*shared_c3*/
    if (other != *this && other.getRole() == getRole())
      return emitOpError() << "is the second buffer for " << stringifyRole(getRole());
  return llvm::success();
}

llvm::LogicalResult AccumulatorOp::verify() {
  if (!getType().getElement().isF32()) /*accumulator_c1*/
    return emitOpError() << "sums are f32";
  return llvm::success();
}

llvm::LogicalResult LoadActivationsOp::verify() {
  const RegistersType type = getType();
  if (!isArray(type, 3, 2, false) || !llvm::isPowerOf2_64(uint64_t(type.getShape()[0])))
    return emitOpError()
           << "loads [steps][m8 tiles][2] of i32, a power of two of steps"; /*load_activations_c1*/
  return llvm::success();
}

llvm::LogicalResult LoadSliceOp::verify() {
  const RegistersType type = getType();
  if (!isArray(type, 3, 2, false) || !llvm::isPowerOf2_64(uint64_t(type.getShape()[0])))
    return emitOpError()
           << "loads [steps][m8 tiles][2] of i32, a power of two of steps"; /*load_slice_c1*/
  return llvm::success();
}

llvm::LogicalResult AccumulateUnitOp::verify() {
  const RegistersType sums = getSums().getType(), fragments = getFragments().getType();
  if (!isArray(sums, 3, 4, true) || !isArray(fragments, 3, 2, false) ||
      sums.getShape()[1] != fragments.getShape()[1]) /*accumulate_unit_c1*/
    return emitOpError() << "needs sums [n16 tiles][m8 tiles][4] of f32 and fragments "
                            "[steps][m8 tiles][2] of i32";
  return llvm::success();
}

llvm::LogicalResult AccumulateRowsOp::verify() {
  if (!isArray(getSums().getType(), 3, 4, true) ||
      !llvm::isPowerOf2_64(getSteps())) /*accumulate_rows_c1*/
    return emitOpError()
           << "needs sums [n16 tiles][m8 tiles][4] of f32 and a power of two of steps";
  return llvm::success();
}

llvm::LogicalResult MultiplyRoundOp::verify() {
  const RegistersType sums = getSums().getType();
  if (sums.getShape().size() != 2 || !sums.getElement().isF32()) /*multiply_round_c1*/
    return emitOpError() << "needs sums [fragments][tokens / 2] of f32";
  return llvm::success();
}

llvm::LogicalResult AccumulateOp::verify() {
  const RegistersType sums = getSums().getType(), fragments = getFragments().getType();
  if (!isArray(sums, 3, 4, true) || !isArray(fragments, 3, 2, false) ||
      sums.getShape()[1] != fragments.getShape()[1]) /*accumulate_c1*/
    return emitOpError() << "needs sums [n16 tiles][m8 tiles][4] of f32 and fragments "
                            "[steps][m8 tiles][2] of i32";
  auto kernel = (*this)->getParentOfType<KernelOp>();
  if (kernel && getScaling() == Scaling::Fragments) {
    const Descriptor d = kernel.getDescriptor().getValue();
    if (d.scales != d.act) /*accumulate_c2*/
      return emitOpError() << "scaling in the fragments needs scales of the activation type";
  }
  return llvm::success();
}

} // namespace gptqc::tile
