// Builds the module of a layer.
#include "compiler/frontend/DescriptorToGptq.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

#include "dialect/gptq/Gptq.h"

namespace gptqc {

mlir::OwningOpRef<mlir::ModuleOp> descriptorToGptq(mlir::MLIRContext &context, const Descriptor &d,
                                                   const Target &target,
                                                   const std::optional<Schedule> &schedule) {
  context.loadDialect<mlir::func::FuncDialect, gptq::GptqDialect>();
  mlir::OpBuilder builder(&context);
  const mlir::Location loc = builder.getUnknownLoc();
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(builder, loc);
  builder.setInsertionPointToEnd(module->getBody());

  const auto matrix = [&](int64_t columns, DType type) {
    const mlir::Type element =
        type == DType::F16 ? mlir::Type(builder.getF16Type()) : mlir::Type(builder.getBF16Type());
    return mlir::RankedTensorType::get({mlir::ShapedType::kDynamic, columns}, element);
  };
  const mlir::Type x = matrix(d.k, d.act), y = matrix(d.outputColumns(), d.out);
  llvm::SmallVector<mlir::Type> inputs = {x};
  if (d.grouped())
    inputs.push_back(mlir::RankedTensorType::get({d.experts + 1}, builder.getI32Type()));
  auto function = mlir::func::FuncOp::create(builder, loc, "gptqc_linear",
                                             builder.getFunctionType(inputs, {y}));
  builder.setInsertionPointToStart(function.addEntryBlock());
  auto linear = gptq::LinearOp::create(
      builder, loc, y, function.getArgument(0),
      d.grouped() ? function.getArgument(1) : mlir::Value(), gptq::DescriptorAttr::get(&context, d),
      gptq::TargetAttr::get(&context, target),
      schedule ? gptq::ScheduleAttr::get(&context, *schedule) : gptq::ScheduleAttr());
  mlir::func::ReturnOp::create(builder, loc, linear.getY());
  return module;
}

} // namespace gptqc
