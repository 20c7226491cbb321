// The gptq dialect: what a layer computes. See dialect/README.md for the constraints.
#ifndef GPTQC_DIALECT_GPTQ_GPTQ_H
#define GPTQC_DIALECT_GPTQ_GPTQ_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Target.h"

#include "dialect/gptq/GptqDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/gptq/GptqAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialect/gptq/GptqOps.h.inc"

#endif // GPTQC_DIALECT_GPTQ_GPTQ_H
