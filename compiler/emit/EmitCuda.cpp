// The printer: a banner, the includes, the facts of layer and tile, and the kernel op by op.
#include "compiler/emit/EmitCuda.h"

#include "compiler/emit/BodyPrinter.h"
#include "compiler/emit/KernelFacts.h"
#include "compiler/schedule/TilePlan.h"

namespace gptqc {

EmittedKernel emitCuda(tile::KernelOp kernel) {
  BodyPrinter body;
  body.printBlock(kernel.getBody().front());
  const Descriptor descriptor = kernel.getDescriptor().getValue();
  const Schedule schedule = kernel.getSchedule().getValue();

  EmittedKernel result;
  std::string &source = result.source;
  source = fmt::format("// {}\n// {}\n// {}\n", descriptor.print(),
                       kernel.getTarget().getValue().print(), schedule.print());
  if (permutesX(descriptor, schedule))
    body.headers.insert("gptqc/permute.cuh");
  for (const std::string &header : body.headers)
    source += fmt::format("#include \"{}\"\n", header);
  source += "\nnamespace {\n\n" + layerFacts(descriptor, schedule) + "\n" +
            tileFacts(descriptor, schedule) + "\n} // namespace\n\n";
  result.launch = launchFacts(descriptor, schedule);
  result.launch.overlaps = kernel.getTarget().getValue().hasProgrammaticLaunch();
  source += fmt::format(
      "extern \"C\" __global__ void __launch_bounds__({}, 1){}\n"
      "{}(const __grid_constant__ gptqc::linear_args {}{}) {{\n"
      "  using namespace gptqc;\n"
      "  GPTQC_SHARED_MEMORY(shared);\n",
      schedule.threads(),
      result.launch.cluster > 1 ? fmt::format(" __cluster_dims__({}, 1, 1)", result.launch.cluster)
                                : "",
      kernel.getSymName().str(), descriptor.grouped() ? "all_experts" : "args",
      result.launch.xBoxRows > 0 ? ",\n             const __grid_constant__ gptqc::tensor_map x_map"
                                 : "");
  source += body.text + "}\n";
  if (permutesX(descriptor, schedule))
    source += fmt::format("\nextern \"C\" __global__ void "
                          "__launch_bounds__(layer::permute_threads, 2)\n"
                          "{}(const __grid_constant__ gptqc::linear_args args) {{\n"
                          "  using namespace gptqc;\n"
                          "  GPTQC_SHARED_MEMORY(shared);\n"
                          "  permute_activations<layer>(shared, args);\n}}\n",
                          kPermuteEntry);
  result.launch.entry = kernel.getSymName().str();
  result.launch.sharedBytes = int64_t(*kernel.getSharedBytes());
  return result;
}

} // namespace gptqc
