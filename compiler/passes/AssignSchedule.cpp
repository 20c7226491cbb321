// AssignSchedule: every gptq.linear leaves with a legal schedule.
#include "compiler/passes/Passes.h"

#include "mlir/IR/BuiltinOps.h"

#include "compiler/schedule/CostModel.h"
#include "dialect/gptq/Gptq.h"

namespace gptqc {

#define GEN_PASS_DEF_ASSIGNSCHEDULE
#include "compiler/passes/Passes.h.inc"

namespace {

llvm::LogicalResult assign(gptq::LinearOp op) {
  if (!op.getTarget())
    return op.emitOpError() << "has no target to choose a schedule for";
  const Descriptor descriptor = op.getDescriptor().getValue();
  const Target target = op.getTarget()->getValue();
  if (op.getSchedule()) {
    const Status legal = ScheduleSpace::check(descriptor, target, op.getSchedule()->getValue());
    if (!legal.ok())
      return op.emitOpError() << legal.message();
    return llvm::success();
  }
  Result<Schedule> chosen = CostModel::choose(descriptor, target);
  if (!chosen.ok())
    return op.emitOpError() << chosen.status().message();
  op.setScheduleAttr(gptq::ScheduleAttr::get(op.getContext(), *chosen));
  return llvm::success();
}

struct AssignSchedulePass : impl::AssignScheduleBase<AssignSchedulePass> {
  void runOnOperation() override {
    const mlir::WalkResult result = getOperation()->walk([](gptq::LinearOp op) {
      return llvm::failed(assign(op)) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
} // namespace gptqc
