// The passes between gptq.linear and verified tile IR, and the one pipeline that orders them.
#ifndef GPTQC_COMPILER_PASSES_PASSES_H
#define GPTQC_COMPILER_PASSES_PASSES_H

#include <memory>

#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace gptqc {

#define GEN_PASS_DECL
#include "compiler/passes/Passes.h.inc"

/// Canonicalization and AssignSchedule: what `--emit=gptq` prints.
void buildSchedulePipeline(mlir::OpPassManager &manager);

/// LowerToTile to VerifyEmittable: what the emitter reads and `--emit=tile` prints.
void buildTilePipeline(mlir::OpPassManager &manager);

/// Registers the passes and the pipelines "gptqc-schedule" and "gptqc-tile" with the command line.
void registerPassesAndPipelines();

#define GEN_PASS_REGISTRATION
#include "compiler/passes/Passes.h.inc"

} // namespace gptqc

#endif // GPTQC_COMPILER_PASSES_PASSES_H
