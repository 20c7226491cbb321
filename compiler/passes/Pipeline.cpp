// The order of the passes, on one page.
#include "compiler/passes/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace gptqc {

void buildSchedulePipeline(mlir::OpPassManager &manager) {
  manager.addPass(mlir::createCanonicalizerPass());
  manager.addPass(createAssignSchedule());
}

void buildTilePipeline(mlir::OpPassManager &manager) {
  manager.addPass(createLowerToTile());
  manager.addPass(createPipelineLoads());
  manager.addPass(createPlanSharedMemory());
  manager.addPass(createVerifyEmittable());
}

void registerPassesAndPipelines() {
  registerGptqcPasses();
  mlir::PassPipelineRegistration<>("gptqc-schedule", "canonicalize and choose the schedule",
                                   buildSchedulePipeline);
  mlir::PassPipelineRegistration<>("gptqc-tile", "lower a scheduled layer to emittable tile IR",
                                   buildTilePipeline);
}

} // namespace gptqc
