// Registration of the tile dialect, its types and enums.
#include "dialect/tile/Tile.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialect/tile/TileDialect.cpp.inc"
#include "dialect/tile/TileEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/tile/TileAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/tile/TileTypes.cpp.inc"

namespace gptqc::tile {

using EmitError = llvm::function_ref<mlir::InFlightDiagnostic()>;

llvm::LogicalResult SharedType::verify(EmitError emitError, int64_t slots, int64_t bytes) {
  if (slots < 1 || bytes < 16 || bytes % 16 != 0) /*shared_type_c1*/
    return emitError() << "a shared buffer has at least one slot of a multiple of 16 bytes";
  return llvm::success();
}

llvm::LogicalResult RegistersType::verify(EmitError emitError, llvm::ArrayRef<int64_t> shape,
                                          mlir::Type element) {
  const bool positive = llvm::all_of(shape, [](int64_t size) { return size > 0; });
  if (shape.empty() || !positive || !(element.isF32() || element.isInteger(32)))
    return emitError() << "registers are a non-empty array of f32 or i32"; /*registers_type_c1*/
  return llvm::success();
}

mlir::Type RegistersType::parse(mlir::AsmParser &parser) {
  llvm::SmallVector<int64_t> shape;
  mlir::Type element;
  if (parser.parseLess() || parser.parseDimensionList(shape, /*allowDynamic=*/false) ||
      parser.parseType(element) || parser.parseGreater())
    return {};
  return parser.getChecked<RegistersType>(parser.getContext(), shape, element);
}

void RegistersType::print(mlir::AsmPrinter &printer) const {
  printer << '<';
  for (int64_t size : getShape())
    printer << size << 'x';
  printer << getElement() << '>';
}

/// attribute_c1: `tile.name` is a C identifier; attribute_c2: `tile.unroll` is a unit or a positive
/// integer on an scf.for.
llvm::LogicalResult TileDialect::verifyOperationAttribute(mlir::Operation *op,
                                                          mlir::NamedAttribute attribute) {
  if (attribute.getName() == getNameAttrName()) {
    auto name = llvm::dyn_cast<mlir::StringAttr>(attribute.getValue());
    const auto isPart = [](char c) { return llvm::isAlnum(c) || c == '_'; };
    if (!name || name.empty() || llvm::isDigit(name.getValue().front()) ||
        !llvm::all_of(name.getValue(), isPart))
      return op->emitOpError() << "tile.name must be a C identifier";
    return llvm::success();
  }
  if (attribute.getName() == getUnrollAttrName()) {
    const auto factor = llvm::dyn_cast<mlir::IntegerAttr>(attribute.getValue());
    const bool isFactor = factor && factor.getType().isInteger(64) && factor.getInt() > 0;
    if ((!isFactor && !llvm::isa<mlir::UnitAttr>(attribute.getValue())) ||
        op->getName().getStringRef() != "scf.for")
      return op->emitOpError() << "tile.unroll is a unit or a positive i64 on an scf.for";
    return llvm::success();
  }
  return op->emitOpError() << "unknown attribute " << attribute.getName();
}

void TileDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/tile/TileAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/tile/TileTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/tile/TileOps.cpp.inc"
      >();
}

} // namespace gptqc::tile
