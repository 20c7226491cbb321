// Registration of the gptq dialect and its text attributes.
#include "dialect/gptq/Gptq.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialect/gptq/GptqDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/gptq/GptqAttrs.cpp.inc"

namespace gptqc::gptq {

namespace {

using EmitError = llvm::function_ref<mlir::InFlightDiagnostic()>;

/// attr_c1: the text parses (and is valid); attr_c2: it is the one spelling of its value.
template <typename Value>
llvm::LogicalResult verifyText(EmitError emitError, llvm::StringRef text) {
  Result<Value> value = Value::parse(std::string_view(text));
  if (!value.ok())
    return emitError() << value.status().message();
  if (value->print() != text)
    return emitError() << "'" << text << "' is not the canonical spelling, write '"
                       << value->print() << "'";
  return llvm::success();
}

} // namespace

llvm::LogicalResult DescriptorAttr::verify(EmitError emitError, llvm::StringRef text) {
  return verifyText<Descriptor>(emitError, text);
}
llvm::LogicalResult TargetAttr::verify(EmitError emitError, llvm::StringRef text) {
  return verifyText<Target>(emitError, text);
}
llvm::LogicalResult ScheduleAttr::verify(EmitError emitError, llvm::StringRef text) {
  return verifyText<Schedule>(emitError, text);
}

Descriptor DescriptorAttr::getValue() const { return *Descriptor::parse(getText()); }
Target TargetAttr::getValue() const { return *Target::parse(getText()); }
Schedule ScheduleAttr::getValue() const { return *Schedule::parse(getText()); }

DescriptorAttr DescriptorAttr::get(mlir::MLIRContext *context, const Descriptor &value) {
  return get(context, llvm::StringRef(value.print()));
}
TargetAttr TargetAttr::get(mlir::MLIRContext *context, const Target &value) {
  return get(context, llvm::StringRef(value.print()));
}
ScheduleAttr ScheduleAttr::get(mlir::MLIRContext *context, const Schedule &value) {
  return get(context, llvm::StringRef(value.print()));
}

void GptqDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/gptq/GptqAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/gptq/GptqOps.cpp.inc"
      >();
}

} // namespace gptqc::gptq
