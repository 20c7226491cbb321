// Frontend: descriptor and target to a module with one gptq.linear.
#ifndef GPTQC_COMPILER_FRONTEND_DESCRIPTORTOGPTQ_H
#define GPTQC_COMPILER_FRONTEND_DESCRIPTORTOGPTQ_H

#include <optional>

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Target.h"

namespace gptqc {

/// A module with `func.func @gptqc_linear(x) -> y` around one gptq.linear. The descriptor must be
/// valid; the func and gptq dialects are loaded into the context.
mlir::OwningOpRef<mlir::ModuleOp> descriptorToGptq(mlir::MLIRContext &context,
                                                   const Descriptor &descriptor,
                                                   const Target &target,
                                                   const std::optional<Schedule> &schedule);

} // namespace gptqc

#endif // GPTQC_COMPILER_FRONTEND_DESCRIPTORTOGPTQ_H
